-- How the record of a job that never ran begins (see `record`); its created and eligible times follow.
local fresh_head = "w,,,,,,,\n\n"
-- The same for a job whose data lies in a key of its own, data:<id>, and what stands in the place of the data then.
local fresh_apart = "w,,,,,,b,\n\n"
local data_apart = "\1"
