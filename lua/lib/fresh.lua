-- How the record of a job that never ran begins (see `record`); its created and eligible times follow.
local fresh_head = "w,,,,,,,\n\n"
