import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { PrometheusServer } from "../../test/support/prometheus-server.ts"
import { startRedis } from "../../test/support/redis-server.ts"
import { burst } from "./burst.ts"
import { Program } from "./program.ts"

/** Of a run, in seconds from its beginning. */
const burstAt = 40
const replaceAt = 65
const endAt = 140
/** Everything that runs while the numbers come about. */
export interface Stage {
  readonly prometheusUrl: string
  readonly startedAt: number
  close(): Promise<void>
}

/**
 * The example on a Redis of its own: walks through the installed packages with files that fail and files that are tried
 * again, two more processes that help, and a burst, in which one of them is killed; another takes its place later. Prometheus scrapes all three each second. Resolves when there is something to see.
 */
export async function play(built: string, say: (line: string) => void): Promise<Stage> {
  const redis = await startRedis()
  const programs: Program[] = []
  let prometheus: PrometheusServer | undefined
  const close = async () => {
    await Promise.all(programs.map((program) => program.stop("SIGTERM")))
    await prometheus?.stop()
    await redis.stop()
  }
  const start = (name: string, ...args: string[]) => {
    const script = join(built, "examples/files", `${name}.js`)
    const program = new Program(script, ["--redis", redis.url, ...args])
    programs.push(program)
    return program
  }
  try {
    const helpers = [start("worker"), start("worker")]
    const main = start("main", "--port", "0", "--max-files", "300", "--again", "1")
    const ports = await Promise.all([main, ...helpers].map((program) => program.port()))
    prometheus = await PrometheusServer.start(ports, {}, { interval: "1s" })
    const startedAt = Date.now() / 1000
    const until = (second: number) => pause(Math.max(0, (startedAt + second) * 1000 - Date.now()))
    say(`three processes run; they are watched for ${endAt} s`)

    await until(burstAt)
    say(`dispatched ${await burst(redis.url, await main.prefix())} jobs at once`)
    await helpers[1]!.stop("SIGKILL")
    say("killed a busy worker")
    await until(replaceAt)
    await start("worker", "--port", `${ports[2]}`).port()
    say("started another one in its place")
    await until(endAt)
    const stalled = await prometheus.query(
      "sum(max by (task) (taskora_cluster_transitions_total{transition=~'stalled.*'}))",
    )
    if (stalled === 0) throw new Error("the worker held no jobs when it was killed; try again")
    say(`${stalled} of its jobs were taken over`)
    return { prometheusUrl: prometheus.url, startedAt, close }
  } catch (error) {
    await close()
    throw error
  }
}
