import { flow } from "./flow.ts"
import { overview } from "./overview.ts"
import type { Board } from "./panel.ts"
import { task } from "./task.ts"
import { workers } from "./workers.ts"

export const boards: readonly Board[] = [overview, task, flow, workers]
