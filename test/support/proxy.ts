import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"

export type Direction = "requests" | "replies"
export type Fault = "request lost" | "reply lost" | "request late"

/** A fault that has happened. A late request reaches the server when `deliver` is called. */
export interface Landed {
  deliver(): Promise<void>
}

/** A TCP proxy before a Redis server, with the faults that networks have. */
export interface FaultyProxy {
  readonly port: number
  readonly url: string
  /** Connections that clients hold now. */
  readonly connections: number
  /** How long a chunk waits, in either direction; the order within one direction stays. */
  delayMs: number | ((chunk: Buffer) => number)
  /** New connections are ended at once. */
  refusing: boolean
  /** What is thrown away instead of passed on; both: half-open, since ends are not passed on either then. */
  readonly swallowed: Set<Direction>
  /** Destroys every connection. */
  cut(): void
  /** Does this to the next request that contains the text, and ends its connection; resolves when done. */
  strike(text: string, fault: Fault): Promise<Landed>
  stop(): Promise<void>
}

interface Strike {
  readonly text: string
  readonly fault: Fault
  readonly land: (landed: Landed) => void
}

interface Pair {
  readonly client: Socket
  readonly server: Socket
  /** Set while the reply to a struck request is to be lost. */
  onReply: (() => void) | undefined
}

export async function startProxy(targetPort: number): Promise<FaultyProxy> {
  const pairs = new Set<Pair>()
  const strikes: Strike[] = []
  const late = new Set<Socket>()

  // Without answering an end by an end of its own: a half-open socket's other side does not either.
  const listener = createServer({ allowHalfOpen: true }, (client) => {
    if (proxy.refusing) {
      client.destroy()
      return
    }
    const pair: Pair = {
      client,
      server: connect({ port: targetPort, host: "127.0.0.1", allowHalfOpen: true }),
      onReply: undefined,
    }
    pairs.add(pair)
    join(pair)
  })

  function join(pair: Pair): void {
    const { client, server } = pair
    client.setNoDelay(true)
    server.setNoDelay(true)
    const requests = inOrder()
    const replies = inOrder()
    client.on("data", (chunk) => requests(delayOf(chunk), () => request(pair, chunk)))
    server.on("data", (chunk) => replies(delayOf(chunk), () => reply(pair, chunk)))
    for (const socket of [client, server]) {
      socket.on("error", () => {
        // "close" follows.
      })
      const goOn = socket === client ? requests : replies
      socket.on("end", () => goOn(0, () => proxy.swallowed.size < 2 && end(pair)))
      socket.on("close", () => pairs.has(pair) && goOn(0, () => end(pair)))
    }
  }

  function delayOf(chunk: Buffer): number {
    return typeof proxy.delayMs === "number" ? proxy.delayMs : proxy.delayMs(chunk)
  }

  function request(pair: Pair, chunk: Buffer): void {
    const index = strikes.findIndex(({ text }) => chunk.includes(text))
    if (index >= 0) hit(pair, chunk, strikes.splice(index, 1)[0]!)
    else if (!proxy.swallowed.has("requests") && pair.server.writable) pair.server.write(chunk)
  }

  function hit(pair: Pair, chunk: Buffer, { fault, land }: Strike): void {
    if (fault === "request lost") {
      end(pair)
      land({ deliver: async () => {} })
    } else if (fault === "reply lost") {
      pair.onReply = () => {
        end(pair)
        land({ deliver: async () => {} })
      }
      pair.server.write(chunk)
    } else {
      const { server } = pair
      pairs.delete(pair)
      late.add(server)
      pair.client.destroy()
      land({ deliver: () => deliver(server, chunk) })
    }
  }

  async function deliver(server: Socket, chunk: Buffer): Promise<void> {
    server.removeAllListeners("data")
    const answered = once(server, "data")
    server.write(chunk)
    await answered
    late.delete(server)
    server.destroy()
  }

  function reply(pair: Pair, chunk: Buffer): void {
    if (pair.onReply) pair.onReply()
    else if (!proxy.swallowed.has("replies") && pair.client.writable) pair.client.write(chunk)
  }

  function end(pair: Pair): void {
    pairs.delete(pair)
    pair.client.destroy()
    pair.server.destroy()
  }

  const proxy = {
    port: 0,
    url: "",
    delayMs: 0 as FaultyProxy["delayMs"],
    refusing: false,
    swallowed: new Set<Direction>(),
    get connections() {
      return pairs.size
    },
    cut() {
      for (const pair of pairs) end(pair)
    },
    strike(text: string, fault: Fault) {
      return new Promise<Landed>((land) => strikes.push({ text, fault, land }))
    },
    async stop() {
      proxy.cut()
      for (const server of late) server.destroy()
      listener.close()
      await once(listener, "close")
    },
  }

  listener.listen(0, "127.0.0.1")
  await once(listener, "listening")
  proxy.port = (listener.address() as AddressInfo).port
  proxy.url = `redis://127.0.0.1:${proxy.port}`
  return proxy
}

/** Passes things on after their delays, none before an earlier one. */
function inOrder(): (delayMs: number, pass: () => void) => void {
  const queue: (() => void)[] = []
  let due = 0
  return (delayMs, pass) => {
    due = Math.max(due, performance.now() + delayMs)
    const waitMs = due - performance.now()
    if (queue.length === 0 && waitMs <= 0) return pass()
    queue.push(pass)
    // Timers of different lengths may swap; whichever fires passes on the oldest.
    setTimeout(() => queue.shift()?.(), waitMs)
  }
}
