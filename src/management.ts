import { Canceller } from "./canceller.ts"
import { Cleaner } from "./manage/cleaner.ts"
import { DeadLetters } from "./manage/dead-letters.ts"
import { Inspector } from "./manage/inspector.ts"
import type { Registry } from "./registry.ts"
import type { Codec } from "./rules/serializer.ts"
import type { Core } from "./store/core.ts"

/** All that looks at an app's queues from outside, or changes them: what is no dispatch and no work. */
export class Management {
  readonly inspector: Inspector
  readonly deadLetters: DeadLetters
  readonly cleaner: Cleaner
  readonly canceller: Canceller

  constructor(
    core: Core,
    host: {
      readonly codec: Codec
      /** Connects where that has not happened yet. */
      readonly ready: () => Promise<void>
      readonly registry: () => Registry
    },
  ) {
    const { codec, ready, registry } = host
    const tasks = () => registry().names
    const definition = (task: string) => registry().get(task)?.definition
    this.inspector = new Inspector(core, {
      codec,
      ready,
      tasks,
      versions: (task) => definition(task)?.checks?.versions ?? { version: 1, since: 1 },
    })
    this.deadLetters = new DeadLetters(core, { ready, tasks, inspector: this.inspector })
    this.cleaner = new Cleaner(core, { ready, tasks })
    const keepFailed = (task: string) => definition(task)?.retention.failed.maxItems ?? 0
    this.canceller = new Canceller(core, { ready, keepFailed })
  }
}
