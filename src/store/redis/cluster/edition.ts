import { createHash } from "node:crypto"
import type { ScriptSource } from "../../store.ts"

/**
 * What a script begins with in a cluster.
 *
 * While a slot is being moved, a script fails at the first key that is no longer, or not yet, on the node that runs it,
 * and what it has written stays. So it first asks for two keys that never exist: the node that gives the slot away has
 * not got them, the one that takes it wants them all or none, and both refuse the script before it did anything.
 *
 * A node refuses to wait on keys of several slots. So what others would wait for is told on a sharded channel of the key's
 * own name, and messages are sharded too.
 */
const prelude = `local redis = (function(server)
  local call = server.call
  call("EXISTS", KEYS[1] .. "-", KEYS[1] .. "--")
  local function telling(run)
    return function(command, ...)
      if command == "PUBLISH" then return run("SPUBLISH", ...) end
      local reply = run(command, ...)
      if command == "XADD" or command == "ZADD" then
        local key = ...
        if command == "XADD" or string.sub(key, -5) == ":wake" then call("SPUBLISH", key, "") end
      end
      return reply
    end
  end
  return { call = telling(call), pcall = telling(server.pcall), error_reply = server.error_reply, status_reply = server.status_reply }
end)(redis)
`

/** The commands that only scripts of a cluster call, as in `commands.ts`. */
export const editionCommands = ["EXISTS k", "SPUBLISH c v"]

const editions = new WeakMap<ScriptSource, ScriptSource>()

/** The script as the nodes of a cluster get it. */
export function clusterEdition(script: ScriptSource): ScriptSource {
  let edition = editions.get(script)
  if (!edition) {
    const text = prelude + script.text
    edition = { name: script.name, text, sha: createHash("sha1").update(text).digest("hex") }
    editions.set(script, edition)
  }
  return edition
}
