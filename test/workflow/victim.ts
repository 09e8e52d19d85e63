import { createTaskora } from "../../src/index.ts"
import { redisAdapter } from "../../src/redis.ts"
import type { Adapter } from "../../src/store/store.ts"
import { declareTasks } from "./random.ts"

/** What a victim is told: where its jobs are, and at which of its calls it is killed. */
export interface VictimSettings {
  readonly url: string
  readonly prefix: string
  /** A script, and which of its calls after the first settlement of a node: the process dies in its place. */
  readonly at: { readonly script: string; readonly call: number }
}

const { url, prefix, at } = JSON.parse(process.argv[2]!) as VictimSettings

/** Counts calls from the moment at which the outcome of a node is in the store, and ends the process at one of them. */
function deadly(adapter: Adapter): Adapter {
  let settled = false
  let calls = 0
  return {
    ...adapter,
    open(...given) {
      const store = adapter.open(...given)
      const run = store.run.bind(store)
      store.run = (script, keys, args) => {
        settled ||= script.name === "outbox"
        if (settled && script.name === at.script && ++calls === at.call) process.kill(process.pid, "SIGKILL")
        return run(script, keys, args)
      }
      return store
    },
  }
}

const app = createTaskora({ adapter: deadly(redisAdapter(url, { prefix })) })
declareTasks(app)
await app.start()
process.send?.("ready")
