import { Redis } from "ioredis"

/** What the server has spent so far. */
export interface Spent {
  readonly cpuUs: number
  /** Commands, those called by scripts counted too. */
  readonly commands: number
  readonly bytes: number
}

/** The bench's own connection to the server: reads its counters, and never takes part. */
export class Meter {
  private constructor(readonly client: Redis) {}

  static async open(url: string): Promise<Meter> {
    const client = new Redis(url, { lazyConnect: true })
    await client.connect()
    return new Meter(client)
  }

  async spent(): Promise<Spent> {
    const text = await this.client.info("all")
    return {
      cpuUs: (field(text, "used_cpu_user") + field(text, "used_cpu_sys")) * 1e6,
      commands: commandCalls(text),
      bytes: field(text, "used_memory"),
    }
  }

  /** Every EVALSHA since `watchScripts`, and the microseconds that it took inside the server. */
  async scriptCalls(): Promise<{ readonly sha: string; readonly us: number }[]> {
    const entries = (await this.client.call("SLOWLOG", "GET", "-1")) as [number, number, number, string[]][]
    return entries
      .filter(([, , , words]) => words[0]?.toLowerCase() === "evalsha")
      .map(([, , us, words]) => ({ sha: words[1]!, us }))
  }

  async watchScripts(): Promise<void> {
    await this.client.config("SET", "slowlog-log-slower-than", 0, "slowlog-max-len", 100_000)
    await this.client.call("SLOWLOG", "RESET")
  }

  async unwatchScripts(): Promise<void> {
    await this.client.config("SET", "slowlog-log-slower-than", -1)
    await this.client.call("SLOWLOG", "RESET")
  }

  async connections(): Promise<number> {
    return field(await this.client.info("clients"), "connected_clients") - 1
  }

  async close(): Promise<void> {
    this.client.disconnect()
  }
}

function field(info: string, name: string): number {
  const found = new RegExp(`^${name}:([\\d.]+)`, "m").exec(info)
  if (!found) throw new Error(`the server tells no ${name}`)
  return Number(found[1])
}

/** The bench's own INFO apart. */
function commandCalls(info: string): number {
  let calls = 0
  for (const [, name, n] of info.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm))
    if (name !== "info") calls += Number(n)
  return calls
}
