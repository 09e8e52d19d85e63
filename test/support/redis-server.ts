import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface RedisServer {
  readonly url: string
  readonly port: number
  /** Kills this server's process and removes its files. */
  stop(): Promise<void>
  /** Where it keeps its files. */
  readonly directory: string
  /** Of the process that serves now. */
  readonly pid: number
  /** Kills the process and starts another one on the same port: an empty one, unless `args` turn persistence on. */
  restart(): Promise<void>
  /** Kills the process and keeps its files; `restart` starts another one. */
  kill(): Promise<void>
}

export interface RedisServerOptions {
  /** More words for redis-server's command line. */
  readonly args?: readonly string[]
  /** A file of directives, which a sentinel rewrites. */
  readonly config?: string
}

/** Another server of the same kind, where the environment names one. */
const binary = process.env.TASKORA_TEST_REDIS_SERVER || "redis-server"
const startTimeoutMs = 10_000

/** The server that the environment offers instead of one of the suite's own. */
export function testRedisUrl(): string | undefined {
  return process.env.TASKORA_TEST_REDIS_URL || undefined
}

let found: boolean | undefined

/** False when tests against a real server can only be skipped; in CI that is an error. */
export function redisAvailable(): boolean {
  found ??= testRedisUrl() !== undefined || spawnSync(binary, ["--version"]).status === 0
  if (!found && process.env.CI)
    throw new Error(`CI is set, but there is neither ${binary} nor TASKORA_TEST_REDIS_URL`)
  return found
}

/** A server for one test file: that of the environment, which `stop` leaves alone, or a new one. */
export async function sharedRedis(): Promise<Pick<RedisServer, "url" | "stop">> {
  const url = testRedisUrl()
  return url === undefined ? startRedis() : { url, stop: async () => {} }
}

/** Starts a server of our own on a free port, without persistence, and waits until it answers. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const port = await freePort()
  const directory = await mkdtemp(join(tmpdir(), "taskora-redis-"))
  let child = await launch(port, directory, options)
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    directory,
    get pid() {
      return child.pid!
    },
    async stop() {
      await kill(child)
      await rm(directory, { recursive: true, force: true })
    },
    kill: () => kill(child),
    async restart() {
      await kill(child)
      child = await launch(port, directory, options)
    },
  }
}

async function launch(port: number, directory: string, options: RedisServerOptions): Promise<ChildProcess> {
  const file = options.config === undefined ? [] : [options.config]
  const words = ["--port", String(port), "--bind", "127.0.0.1", "--dir", directory]
  // A sentinel has nothing to keep, and refuses to hear of it.
  const keeping = options.config === undefined ? ["--save", "", "--appendonly", "no"] : []
  const child = spawn(binary, [...file, ...words, ...keeping, ...(options.args ?? [])], {
    stdio: ["ignore", "pipe", "pipe"],
  })
  let output = ""
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-4_000)
  }
  child.stdout?.on("data", keep)
  child.stderr?.on("data", keep)
  let failure: Error | undefined
  child.once("error", (error) => {
    failure = error
  })
  const giveUp = Date.now() + startTimeoutMs
  while (!(await answers(port))) {
    if (failure !== undefined) throw failure
    if (child.exitCode !== null || Date.now() > giveUp) {
      await kill(child)
      throw new Error(`${binary} did not start on port ${port}:\n${output}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  // The test process may end without stop(); it must neither wait for the server nor leave it behind.
  child.unref()
  const killNow = () => child.kill("SIGKILL")
  process.once("exit", killNow)
  child.once("exit", () => process.off("exit", killNow))
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, "exit")
  child.ref()
  child.kill("SIGKILL")
  await gone
}

/** True when the port answers PING with PONG. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1")
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(1_000, () => end(false))
    socket.once("error", () => end(false))
    socket.once("connect", () => socket.write("PING\r\n"))
    socket.once("data", (chunk) => end(chunk.toString().startsWith("+PONG")))
  })
}

export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  if (address === null || typeof address === "string") throw new Error("no port was assigned")
  return address.port
}
