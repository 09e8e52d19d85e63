import type { TaskKeys } from "../../src/store/keys.ts"
import type { Reply } from "../../src/store/store.ts"

/** Keys that are built by the scripts that need them. */
const unshared = ["expiring", "newer", "parked", "expired"]
const kinds = /^(job|data|progress|logs|result|holders|throttle|debounce|dedupe):|^\d+:wake$/

/** Runs plain commands against a host's data, past the scripts. */
export interface Reader {
  run(commands: readonly (readonly string[])[]): Promise<Reply[]>
  close(): Promise<void>
}

/** A job's record, split into the parts that `lua/lib/record.lua` names, all text. */
export interface Fields {
  readonly state: string
  readonly created: string
  readonly eligible: string
  readonly priority: string
  readonly order: string
  readonly fails: string
  readonly attempt: string
  readonly stalls: string
  readonly token: string
  readonly claimed: string
  readonly finished: string
  readonly max: string
  readonly life: string
  readonly releases: string
  readonly nonce: string
  /** As stored, without the ";" before them; "" for none. */
  readonly terms: string
  readonly flags: string
  readonly run: string
  readonly history: string
  readonly outcome: string
  readonly headers: string
  readonly data: string
}

/** Everything that one task keeps, as it lies there. */
export interface TaskState {
  /** Places, the next one first. */
  readonly waiting: readonly string[]
  readonly priority: ReadonlyMap<string, number>
  readonly delayed: ReadonlyMap<string, number>
  readonly active: ReadonlyMap<string, number>
  /** Jobs that wait for a newer worker, by their places. */
  readonly newer: ReadonlyMap<string, number>
  /** When jobs with a ttl expire that wait to be started, by their places. */
  readonly expiring: ReadonlyMap<string, number>
  /** Members, `key \t rank \t place`, in their order. */
  readonly parked: readonly string[]
  /** Who has a slot, by concurrency key. */
  readonly holders: ReadonlyMap<string, readonly string[]>
  /** Entries, newest first. */
  readonly completed: readonly string[]
  readonly failed: readonly string[]
  readonly cancelled: readonly string[]
  readonly expired: readonly string[]
  readonly cancels: ReadonlyMap<string, string>
  readonly wake: readonly string[]
  readonly stats: ReadonlyMap<string, string>
  /** Undefined where a record cannot be read. */
  readonly records: ReadonlyMap<string, Fields | undefined>
  readonly texts: ReadonlyMap<string, string>
  /** Data that lies apart from the records. */
  readonly datas: ReadonlyMap<string, string>
  readonly progress: ReadonlyMap<string, string>
  readonly results: ReadonlyMap<string, { readonly text: string; readonly ttl: number }>
  readonly logs: ReadonlyMap<string, readonly string[]>
  /** What the gates remember under each key, and for how long, ms (see `lua/lib/gates.lua`). */
  readonly throttles: ReadonlyMap<string, Remembered>
  readonly debounces: ReadonlyMap<string, Remembered>
  readonly dedupes: ReadonlyMap<string, Remembered>
  /** Keys under the task's base that nobody knows. */
  readonly strange: readonly string[]
}

export interface Remembered {
  readonly entries: readonly string[]
  readonly ttl: number
}

const hot = ["state", "token", "attempt", "claimed", "finished", "max", "flags", "run"]
const coldNames = ["created", "eligible", "priority", "order", "fails", "stalls", "life", "releases", "nonce"]

/** Undefined for a record that cannot be read. */
export function parseFields(text: string): Fields | undefined {
  const [first, outcome, third, history, headers, ...data] = text.split("\n")
  const [cold, ...terms] = (third ?? "").split(";")
  const values = [...first!.split(","), ...cold!.split(",")]
  const names = [...hot, ...coldNames]
  if (values.length !== names.length || data.length === 0 || !/^[wndacfxke]$/.test(values[0]!))
    return undefined
  const named = Object.fromEntries(names.map((name, i) => [name, values[i]!]))
  const { claimed, created, finished } = named
  const at = finished === "" ? "" : String(Number(finished) + Number(claimed || created))
  return {
    ...named,
    finished: at,
    history,
    outcome,
    headers,
    terms: terms.join(";"),
    data: data.join("\n"),
  } as unknown as Fields
}

/** Stands in a record in the place of data that lies apart. */
const dataApart = "\u0001"

/** Data that lies apart is part of the record all the same. */
function withData(fields: Fields | undefined, data: string | undefined): Fields | undefined {
  return fields?.data === dataApart && data !== undefined ? { ...fields, data } : fields
}

/** What stands for a job in the collections of those that wait. */
export function placeOf(id: string, { nonce }: Fields): string {
  return nonce === "" ? id : `${id}\t${nonce}`
}

export function idOf(place: string): string {
  return place.split("\t", 1)[0]!
}

/** A record's terms (see `lua/lib/terms.lua`), all text. */
export function termsOf({ terms }: Fields) {
  const [first = "", key = "", dedupe = ""] = terms.split("\t")
  const [expires = "", discard = "", limit = "", version = "", turn = ""] = first.split(",")
  return { expires, discard, limit, version, turn, key, dedupe }
}

export async function readState(reader: Reader, keys: TaskKeys): Promise<TaskState> {
  const list = (key: string) => ["LRANGE", key, "0", "-1"]
  const sorted = (key: string) => ["ZRANGE", key, "0", "-1", "WITHSCORES"]
  const [
    waiting,
    priority,
    delayed,
    active,
    newer,
    expiring,
    parked,
    expired,
    completed,
    failed,
    cancelled,
    cancels,
    wake,
    stats,
    all,
  ] = (await reader.run([
    list(keys.waiting),
    sorted(keys.priority),
    sorted(keys.delayed),
    sorted(keys.active),
    sorted(`${keys.base}newer`),
    sorted(`${keys.base}expiring`),
    ["ZRANGE", `${keys.base}parked`, "0", "-1"],
    list(`${keys.base}expired`),
    list(keys.completed),
    ["ZRANGE", keys.failed, "0", "-1", "REV"],
    list(keys.cancelled),
    ["HGETALL", keys.cancels],
    ["ZRANGE", keys.wake, "0", "-1"],
    ["HGETALL", keys.stats],
    ["KEYS", `${keys.base.replace(/[*?[\]\\^]/g, "\\$&")}*`],
  ])) as string[][]
  const names = all!.map((key) => key.slice(keys.base.length))
  const of = (kind: string) => names.filter((name) => name.startsWith(`${kind}:`))
  const ids = (kind: string) => of(kind).map((name) => name.slice(kind.length + 1))
  const values = async (kind: string, command: (key: string) => string[]) => {
    const found = of(kind)
    const replies = await reader.run(found.map((name) => command(keys.base + name)))
    return new Map(ids(kind).map((id, i) => [id, replies[i]!]))
  }
  const get = (key: string) => ["GET", key]
  const texts = (await values("job", get)) as Map<string, string>
  const datas = (await values("data", get)) as Map<string, string>
  const results = (await values("result", get)) as Map<string, string>
  const ttls = await values("result", (key) => ["PTTL", key])
  const remembered = async (kind: string, command: (key: string) => string[]) => {
    const found = (await values(kind, command)) as Map<string, string | string[]>
    const left = await values(kind, (key) => ["PTTL", key])
    // What has expired between two of these commands is not there.
    const there = [...found].filter(([key]) => Number(left.get(key)) !== -2)
    return new Map(
      there.map(([key, held]) => [key, { entries: [held ?? []].flat(), ttl: Number(left.get(key)) }]),
    )
  }
  const known = [...Object.values(keys).map((key: string) => key.slice(keys.base.length)), ...unshared]
  return {
    waiting: waiting!.reverse(),
    priority: scores(priority!),
    delayed: scores(delayed!),
    active: scores(active!),
    newer: scores(newer!),
    expiring: scores(expiring!),
    parked: parked!,
    expired: expired!,
    holders: (await values("holders", (key) => ["ZRANGE", key, "0", "-1"])) as Map<string, string[]>,
    completed: completed!,
    failed: failed!,
    cancelled: cancelled!,
    cancels: pairs(cancels!),
    wake: wake!,
    stats: pairs(stats!),
    texts,
    records: new Map([...texts].map(([id, text]) => [id, withData(parseFields(text), datas.get(id))])),
    progress: (await values("progress", get)) as Map<string, string>,
    results: new Map([...results].map(([id, text]) => [id, { text, ttl: Number(ttls.get(id)) }])),
    logs: (await values("logs", list)) as Map<string, string[]>,
    datas,
    throttles: await remembered("throttle", list),
    debounces: await remembered("debounce", get),
    dedupes: await remembered("dedupe", (key) => ["ZRANGE", key, "0", "-1"]),
    strange: names.filter((name) => !known.includes(name) && !kinds.test(name)),
  }
}

function pairs(flat: readonly string[]): Map<string, string> {
  const map = new Map<string, string>()
  for (let i = 0; i < flat.length; i += 2) map.set(flat[i]!, flat[i + 1]!)
  return map
}

function scores(flat: readonly string[]): Map<string, number> {
  return new Map([...pairs(flat)].map(([member, score]) => [member, Number(score)]))
}
