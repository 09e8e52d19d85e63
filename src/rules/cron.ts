import { Cron } from "croner"
import { dateOf } from "../model/clock.ts"
import { show } from "../model/duration.ts"
import { invalid } from "../model/options.ts"

/** The first moment after the given one at which the pattern holds, ms since the epoch; undefined where there is none. */
export type CronTimes = (after: number) => number | undefined

/**
 * The times of a cron pattern of five fields, or six with seconds before them (seven with years behind), or a nickname
 * such as `@daily`, in a time zone of the IANA's list.
 * @throws TaskoraError (`INVALID`) where the pattern or the zone cannot be read
 */
export function cronTimes(pattern: string, timezone: string, what: string): CronTimes {
  checkZone(timezone, what)
  let cron: Cron
  try {
    // A date would be a pattern of one time to croner; a schedule is what comes again.
    if (typeof pattern !== "string" || /^\d+-/.test(pattern.trim())) throw new Error("it is no pattern")
    cron = new Cron(pattern, { timezone, paused: true })
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^Cron\w+: /, "") : String(error)
    throw invalid(
      `${what}: cron ${show(pattern)} cannot be read: ${reason.replace(/\.$/, "")}; give minute, hour, day, month and weekday, such as "30 2 * * *", with seconds before them if wanted`,
    )
  }
  return (after) => cron.nextRun(dateOf(after))?.getTime()
}

function checkZone(timezone: unknown, what: string): void {
  try {
    if (typeof timezone !== "string" || timezone === "") throw new Error()
    new Intl.DateTimeFormat("en", { timeZone: timezone })
  } catch {
    throw invalid(
      `${what}: time zone ${show(timezone)} is unknown; give a name such as "Europe/Berlin" or "UTC"`,
    )
  }
}
