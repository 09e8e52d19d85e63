-- For the assembled scripts, as test/repository/lua.test.ts lints them, not for the bare files: what the generated
-- prelude and the libraries define is known only there. Of the globals, only what both hosts give and the scripts need.
stds.taskora = {
  read_globals = {
    "KEYS", "ARGV",
    "error", "ipairs", "next", "pairs", "pcall", "select", "tonumber", "tostring", "type", "unpack",
    redis = { fields = { "call", "error_reply", "pcall" } },
    math = { fields = { "floor", "max", "min" } },
    string = { fields = { "find", "format", "gmatch", "gsub", "match", "sub" } },
    table = { fields = { "concat", "insert", "remove", "sort" } },
  },
}
std = "taskora"
max_line_length = false
-- Not every script needs all of its prelude, and the libraries' functions name their parameters after it.
ignore = { "211/q", "211/a", "211/first", "211/group.*", "431/q", "431/a", "431/first" }
