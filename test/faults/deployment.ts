import { mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Redis } from "ioredis"
import type { Program } from "../support/program.ts"
import { type FaultyProxy, startProxy } from "../support/proxy.ts"
import { type RedisServer, startRedis } from "../support/redis-server.ts"
import type { Evidence, Loss, PodEvidence } from "./evidence.ts"
import { readState } from "./final-state.ts"
import { type Life, Pod, type Role } from "./pods.ts"
import { Prng } from "./prng.ts"
import { Recorder } from "./recorder.ts"
import { isTerminal } from "./stream-lines.ts"
import { type FaultTask, slotsOfWorker, taskNames, type Work } from "./work.ts"

export type Persistence = "none" | "everysec" | "always"

export interface DeploymentOptions {
  readonly program: Program
  readonly seed: number
  /** Where the ledgers lie. */
  readonly directory: string
  readonly persistence: Persistence
  readonly workers: number
  readonly leaseMs: number
  /** A replica that copies the server through a proxy. */
  readonly replicated?: boolean
  /** Looks at everybody for so long when nothing is left to do, ms. */
  readonly idleMs?: number
}

const prefix = "faults"
const base = `${prefix}:taskora:`
/** A job dispatched after healing must be done within this, ms. */
const recoverWithinMs = 30_000
const dispatchEveryMs = 45
const ownEveryMs = 400

/** Servers, proxies and processes of one trial. */
export class Deployment {
  readonly random: Prng
  readonly pods: Pod[] = []
  readonly losses: Loss[] = []
  readonly recoveries: { fault: string; ms: number }[] = []
  readonly #proxies = new Map<Pod, FaultyProxy>()
  #names = 0
  #probes = 0
  idle: Evidence["idle"]

  private constructor(
    readonly options: DeploymentOptions,
    /** The one that serves. */
    public server: RedisServer,
    public admin: Redis,
    readonly recorder: Recorder,
    readonly replica: { readonly server: RedisServer; readonly link: FaultyProxy } | undefined,
  ) {
    this.random = new Prng(options.seed)
  }

  static async open(options: DeploymentOptions): Promise<Deployment> {
    // What an earlier trial of the same seed left is no part of this one.
    rmSync(options.directory, { recursive: true, force: true })
    mkdirSync(options.directory, { recursive: true })
    const { persistence } = options
    const args = persistence === "none" ? [] : ["--appendonly", "yes", "--appendfsync", persistence]
    const server = await startRedis({ args: [...args, "--enable-protected-configs", "yes"] })
    const recorder = new Recorder(server.port, base, taskNames)
    const replica = options.replicated ? await startReplica(server.port) : undefined
    return new Deployment(options, server, clientOf(server.port), recorder, replica)
  }

  /** Starts everybody, and the load. */
  async staff(): Promise<void> {
    await this.restaff()
  }

  /** Resolves when work is under way. */
  async warm(): Promise<void> {
    const completed = () => this.recorder.all.filter(({ kind }) => kind === "c").length
    await until(() => completed() >= 20, "jobs are done", 60_000)
  }

  /** Starts a process, behind a proxy of its own. */
  async spawn(role: Role, life?: Life): Promise<Pod> {
    const name = `${role}${++this.#names}`
    const proxy = await startProxy(this.server.port)
    const pod = new Pod(name, this.options.program, {
      url: proxy.url,
      prefix,
      role,
      diary: join(this.options.directory, `${name}.jsonl`),
      leaseMs: this.options.leaseMs,
      seed: this.random.fork(),
      everyMs: role === "worker" ? ownEveryMs : dispatchEveryMs,
      closeMs: 5000,
      loaded: role !== "listener",
      ...(life ? { life } : {}),
    })
    this.pods.push(pod)
    this.#proxies.set(pod, proxy)
    return pod
  }

  proxyOf(pod: Pod): FaultyProxy {
    return this.#proxies.get(pod)!
  }

  alive(role: Role): Pod[] {
    return this.pods.filter(
      (pod) => pod.role === role && pod.isAlive && pod.fate === "lives" && !pod.config.life,
    )
  }

  async ready(pod: Pod, ms = 120_000): Promise<void> {
    await until(() => pod.of("ready").length > 0 || !pod.isAlive, `${pod.name} is ready`, ms)
    if (!pod.isAlive && pod.fate === "lives") throw new Error(`${pod.name} ended before it was ready`)
  }

  /** Starts a process for each that is missing. */
  async restaff(): Promise<void> {
    const missing: [Role, number][] = [
      ["worker", this.options.workers],
      ["dispatcher", 1],
      ["listener", 1],
    ]
    const fresh: Pod[] = []
    for (const [role, count] of missing)
      for (let i = this.alive(role).length; i < count; i++) fresh.push(await this.spawn(role))
    await Promise.all(fresh.map((pod) => this.ready(pod)))
  }

  async order(task: FaultTask, work: Work, count = 1): Promise<string[]> {
    const tag = `order${++this.#probes}`
    const [dispatcher] = this.alive("dispatcher")
    dispatcher?.order({ op: "dispatch", task, work, tag, count })
    const asked = () => dispatcher?.of("asked").filter((line) => line.tag === tag) ?? []
    await until(() => asked().length === count || !dispatcher?.isAlive, "an order was asked for", 10_000)
    return asked().map(({ id }) => id)
  }

  /** How long it takes until a job that is dispatched from now on is done, ms; that much is kept with the fault's name. */
  async recovery(fault: string, healedAt: number): Promise<number> {
    const ids: string[] = []
    const isDone = () => {
      const lines = this.recorder.of("quick")
      for (let i = lines.length - 1; i >= 0 && lines[i]!.at >= healedAt - 1; i--)
        if (lines[i]!.kind === "c" && ids.includes(lines[i]!.id)) return true
      return false
    }
    const giveUp = performance.now() + recoverWithinMs
    while (!isDone() && performance.now() < giveUp) {
      if (this.alive("dispatcher").length > 0)
        ids.push(...(await this.order("quick", { deed: "return" }).catch(() => [])))
      await until(isDone, "a job is done", 1500).catch(() => undefined)
    }
    const ms = isDone() ? Date.now() - healedAt : Number.POSITIVE_INFINITY
    this.recoveries.push({ fault, ms })
    return ms
  }

  /** Lets everything end, closes everybody, and gathers what is left. */
  async finish(): Promise<Evidence> {
    const living = this.pods.filter(({ isAlive }) => isAlive)
    for (const pod of living) pod.order({ op: "load", on: false })
    await sleep(100)
    const drained = await this.#drained()
    await this.recorder.catchUp()
    if (this.options.idleMs) await this.#watchIdle(this.options.idleMs)
    await Promise.all(living.map((pod) => pod.close()))
    await this.recorder.catchUp()
    const tasks = []
    for (const task of taskNames)
      tasks.push({
        task,
        lines: [...this.recorder.lines.get(task)!],
        lostLines: [...this.recorder.lost.get(task)!],
        state: await readState(this.admin, base, task),
      })
    return {
      pods: this.pods.map(evidenceOf),
      tasks,
      settings: { leaseMs: this.options.leaseMs, recoverWithinMs, slackMs: 2000, drained },
      losses: this.losses,
      recoveries: this.recoveries,
      ...(this.idle ? { idle: this.idle } : {}),
      remains: await this.#remains(),
    }
  }

  /** What the busiest process still does while there is nothing to do. A chunk of requests is a command or more. */
  async #watchIdle(ms: number): Promise<void> {
    const pods = this.pods.filter(({ isAlive }) => isAlive)
    const requests = () => pods.map((pod) => this.proxyOf(pod).counts.requests)
    const cpu = () => pods.map((pod) => pod.of("pulse").at(-1)?.cpu ?? 0)
    await sleep(1000)
    const [requestsBefore, cpuBefore] = [requests(), cpu()]
    await sleep(ms)
    const most = (now: number[], before: number[]) => Math.max(...now.map((n, i) => n - before[i]!))
    this.idle = {
      commandsPerSecond: most(requests(), requestsBefore) / (ms / 1000),
      cpuShare: most(cpu(), cpuBefore) / 1000 / ms,
    }
  }

  /** Every job has ended and everybody was answered; what has not in half a minute is for the checker to say. */
  async #drained(): Promise<boolean> {
    const quiet = async () => {
      await this.recorder.catchUp().catch(() => undefined)
      const open = new Set<string>()
      for (const { observations, fate } of this.pods)
        for (const line of observations) {
          if (line.what === "asked" && fate !== "killed") open.add(`ask ${line.id}`)
          if (line.what === "acknowledged" || line.what === "refused") open.delete(`ask ${line.id}`)
          if (this.losses.length > 0 || fate === "killed") continue
          if (line.what === "awaited") open.add(`wait ${line.id}`)
          if (line.what === "answered") open.delete(`wait ${line.id}`)
        }
      const ended = new Set<string>()
      const begun = new Set<string>()
      for (const line of this.recorder.all) {
        begun.add(line.id)
        if (isTerminal(line)) ended.add(line.id)
      }
      if (open.size > 0) return false
      for (const task of taskNames) {
        const root = `${base}{${task}}:`
        const left = await Promise.all([
          this.admin.zcard(`${root}active`),
          this.admin.zcard(`${root}delayed`),
          this.admin.zcard(`${root}priority`),
          this.admin.llen(`${root}waiting`),
          this.admin.hget(`${root}stats`, "tombs"),
        ]).catch(() => [1, 0, 0, 0, 0])
        if (Number(left[0]) + Number(left[1]) + Number(left[2]) > 0) return false
        if (Number(left[3]) > Number(left[4] ?? 0)) return false
      }
      for (const id of begun) if (!ended.has(id)) return this.losses.length > 0
      return this.#listenersCaughtUp()
    }
    await until(quiet, "all jobs have ended", 40_000).catch(() => undefined)
    return true
  }

  #listenersCaughtUp(): boolean {
    const listeners = this.alive("listener")
    return taskNames.every((task) => {
      const last = this.recorder.of(task).at(-1)
      const end = last ? last.seq + last.span - 1 : 0
      return listeners.every((pod) => {
        let at = 0
        for (const line of pod.observations) {
          if (line.what === "heard" && line.task === task) at = line.seq
          if (line.what === "gap" && line.task === task) at += line.lost
        }
        return at >= end || (last !== undefined && pod.bornAt > last.at - 2000)
      })
    })
  }

  async #remains(): Promise<Evidence["remains"]> {
    const others = async () => {
      const list = String(await this.admin.client("LIST"))
      // Those of the harness: the one that asks, the recorder's; replication's own.
      return list
        .trim()
        .split("\n")
        .filter((line) => !/ flags=[^ ]*[SM]/.test(line) && !/ cmd=(client|xrange|replconf|psync)/.test(line))
    }
    let clients = await others()
    for (const end = performance.now() + 3000; clients.length > 0 && performance.now() < end; ) {
      await sleep(20)
      clients = await others()
    }
    const keys = await this.admin.keys(`${base}*`)
    const killed = new Set(
      this.pods
        .filter(({ fate }) => fate === "killed")
        .flatMap((pod) => pod.of("began").map(({ instance }) => instance)),
    )
    const registered = await this.admin.zrange(`${base}workers`, "0", "-1")
    const isForeign = (instance: string | undefined) => instance === undefined || !killed.has(instance)
    return {
      clients: clients.length,
      keys: [
        ...keys
          .map((key) => key.slice(base.length))
          .filter((key) => key.startsWith("control:") && isForeign(key.split(":")[1])),
        ...registered.filter((instance) => isForeign(instance)).map((instance) => `workers ${instance}`),
      ],
    }
  }

  async stop(keep: boolean): Promise<void> {
    await Promise.all(this.pods.map((pod) => pod.kill()))
    for (const pod of this.pods) pod.diary.close()
    this.recorder.stop()
    this.admin.disconnect()
    for (const proxy of this.#proxies.values()) await proxy.stop()
    await this.replica?.link.stop()
    await this.replica?.server.stop()
    await this.server.stop()
    if (!keep) rmSync(this.options.directory, { recursive: true, force: true })
  }

  /** Another server serves from now on. */
  async moveTo(server: RedisServer): Promise<void> {
    this.server = server
    this.admin.disconnect()
    this.admin = clientOf(server.port)
    for (const proxy of this.#proxies.values()) {
      proxy.target = server.port
      proxy.cut()
    }
    await this.recorder.resumeAt(server.port)
  }

  /** How often the server has answered with this error. */
  async errors(code: string): Promise<number> {
    const info = await this.admin.info("errorstats")
    return Number(new RegExp(`errorstat_${code}:count=(\\d+)`).exec(info)?.[1] ?? 0)
  }
}

export function clientOf(port: number): Redis {
  const client = new Redis(port, "127.0.0.1", { retryStrategy: () => 50, maxRetriesPerRequest: null })
  client.on("error", () => {
    // It reconnects; faults are on purpose.
  })
  return client
}

async function startReplica(port: number) {
  const link = await startProxy(port)
  const server = await startRedis({
    args: ["--replicaof", "127.0.0.1", String(link.port), "--repl-diskless-sync-delay", "0"],
  })
  const client = clientOf(server.port)
  await until(
    async () => (await client.info("replication")).includes("master_link_status:up"),
    "the replica has synchronised",
    15_000,
  )
  client.disconnect()
  return { server, link }
}

function evidenceOf(pod: Pod): PodEvidence {
  return {
    name: pod.name,
    role: pod.role,
    // Who was killed by a job while nobody looked was killed all the same.
    fate: pod.fate === "lives" && pod.of("dying").length > 0 ? "killed" : pod.fate,
    // What may be under way as it is killed: of the others, calls to cancel.
    slots: pod.role === "worker" ? slotsOfWorker : 5,
    observations: pod.observations,
    stops: pod.stops,
    exitCode: pod.exitCode,
    ...(pod.goneAt === undefined ? {} : { goneAt: pod.goneAt }),
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

export async function until(done: () => unknown, what: string, ms = 10_000): Promise<void> {
  const giveUp = performance.now() + ms
  while (!(await done())) {
    if (performance.now() > giveUp) throw new Error(`waited ${ms} ms in vain until ${what}`)
    await sleep(15)
  }
}
