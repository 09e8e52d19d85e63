-- Reads a workflow, changing nothing: its head, or pages of what is known of its nodes.
-- what: head, or any of nodes, edges, states, out, runs; then the nodes wanted, at most 500.
-- Replies the values in order; of the head: state, name, created, finished, error, failed, total, expires,
-- result.
local wanted = {}
for i = first, #ARGV do wanted[#wanted + 1] = ARGV[i] end
local values
if a.what == "head" then
  values = redis.call("HMGET", q.head, "state", "name", "created", "finished", "error", "failed", "total", "expires", "result")
else
  values = redis.call("HMGET", q[a.what], unpack(wanted))
end
for k = 1, a.what == "head" and 9 or #wanted do values[k] = values[k] or "" end
return values
