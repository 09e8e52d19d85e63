import type { Backlog, Pending } from "./backlog.ts"
import { patienceMs } from "./dispatch-errors.ts"
import { within } from "./model/clock.ts"
import { TaskoraError, ValidationError } from "./model/errors.ts"
import type { Schema } from "./model/standard-schema.ts"
import type { Producer } from "./producer.ts"
import { validate } from "./rules/schema.ts"
import { describeThrown } from "./rules/thrown.ts"
import type { Core } from "./store/core.ts"

/**
 * Validates the data of one task's jobs before they are stored. A schema that answers at once holds nothing up; behind one
 * that takes its time, later jobs wait, so that the jobs of a task are stored in the order in which they were dispatched.
 */
export class Admission {
  /** The last job that waits here. */
  private last: Promise<void> | undefined

  constructor(
    private readonly task: string,
    private readonly host: {
      readonly core: Core
      readonly producer: Producer
      readonly backlog: Backlog
      readonly validateOnDispatch: boolean
    },
  ) {}

  /** `schema`: undefined where this job is to be stored unseen. */
  admit(job: Pending, schema: Schema | undefined, data: unknown): void {
    let verdict: unknown
    try {
      if (schema && this.host.validateOnDispatch) verdict = validate(schema, data, this.what)
    } catch (error) {
      job.refused(this.refusal(error))
      return
    }
    if (verdict instanceof Promise) this.hold(job, verdict)
    else if (this.last) this.hold(job, undefined)
    else this.host.producer.add(job)
  }

  private hold(job: Pending, verdict: Promise<unknown> | undefined): void {
    // Whoever closes the app waits for what is in the backlog.
    this.host.backlog.add(job)
    const own = this.decide(job, verdict, this.last).finally(() => {
      if (this.last === own) this.last = undefined
    })
    this.last = own
  }

  private async decide(
    job: Pending,
    verdict: Promise<unknown> | undefined,
    before: Promise<void> | undefined,
  ): Promise<void> {
    const { core, producer, backlog } = this.host
    const late = () => {
      throw new ValidationError(
        `${this.what} could not be validated within ${patienceMs} ms; nothing was stored`,
      )
    }
    const judged = verdict && within(core.link.clock, verdict, { ms: patienceMs, late })
    const wrong = await judged?.then(
      () => undefined,
      (error: unknown) => this.refusal(error),
    )
    await before
    backlog.remove([job])
    if (wrong) job.refused(wrong)
    else producer.add({ ...job, deadline: producer.deadline() })
  }

  private get what(): string {
    return `data of a job of task "${this.task}"`
  }

  private refusal(error: unknown): TaskoraError {
    if (error instanceof TaskoraError) return error
    const { message } = describeThrown(error)
    return new ValidationError(`${this.what} could not be validated; its schema threw: ${message}`, {
      cause: error,
    })
  }
}
