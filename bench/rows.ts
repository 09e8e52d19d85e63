import type { Row } from "./row.ts"
import { enqueue } from "./workloads/enqueue.ts"
import { processing } from "./workloads/process.ts"

/** All rows, in the order in which they run and are shown. */
export const rows: readonly Row[] = [...enqueue, ...processing]
