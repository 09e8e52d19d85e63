export type { RecordedMetrics } from "./metrics.ts"
export {
  createTestRunner,
  type Execution,
  type RecordedEvent,
  type TestRunner,
  type TestRunnerOptions,
} from "./runner.ts"
export type { RecordedSpan } from "./spans.ts"
