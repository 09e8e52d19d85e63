import { scripts } from "../../src/store/scripts.ts"
import type { Fault as Way } from "../support/proxy.ts"
import { type Deployment, sleep, until } from "./deployment.ts"
import { type Fault, type Landing, landed, missed } from "./fault.ts"
import type { Role } from "./pods.ts"
import type { Prng } from "./prng.ts"

const calledBy: Readonly<Record<string, Role>> = {
  enqueue: "dispatcher",
  launch: "worker",
  settle: "worker",
  renew: "worker",
  progress: "worker",
  log: "worker",
  cancel: "dispatcher",
  upkeep: "worker",
}

const ways = [
  "request lost",
  "reply lost",
  "late, before the next call",
  "late, after the next call",
] as const

/** One call of this script meets the fault, in a process that makes such calls. */
const strikeCall =
  (script: string, way: (typeof ways)[number]) => async (deployment: Deployment, random: Prng) => {
    const pod = random.pick(deployment.alive(calledBy[script]!))
    const proxy = deployment.proxyOf(pod)
    const { sha } = scripts[script as keyof typeof scripts].source
    const fault: Way = way.startsWith("late") ? "request late" : (way as Way)
    const struck = await Promise.race([proxy.strike(sha, fault), sleep(6000)])
    if (!struck) {
      proxy.spare()
      return missed(`${pod.name} did not call ${script}`)
    }
    if (way === "late, before the next call") await Promise.race([struck.deliver(), sleep(3000)])
    if (way === "late, after the next call") {
      let again = false
      proxy.watch = (chunk) => {
        again ||= chunk.includes(sha)
      }
      await until(() => again, "it calls again", 6000).catch(() => undefined)
      // The next call is on its way; it arrives before what is delivered now has crossed two sockets.
      await sleep(20)
      proxy.watch = undefined
      await Promise.race([struck.deliver(), sleep(3000)])
      if (!again) return missed(`${pod.name} did not call ${script} again`)
    }
    return landed(`a call of ${script} by ${pod.name}: ${way}`)
  }

async function killClients(deployment: Deployment, random: Prng): Promise<Landing> {
  let killed = 0
  const own = new Set([await deployment.admin.client("ID"), ""].map(String))
  const everyMs = random.between(10, 200)
  for (const end = performance.now() + 1500; performance.now() < end; ) {
    const list = String(await deployment.admin.client("LIST"))
      .trim()
      .split("\n")
    const others = list
      .filter((line) => !/ flags=[^ ]*[SM]/.test(line) && !/ cmd=xrange/.test(line))
      .map((line) => /^id=(\d+)/.exec(line)?.[1] ?? "")
      .filter((id) => !own.has(id))
    if (others.length > 0) {
      const answer = await deployment.admin.call("CLIENT", "KILL", "ID", random.pick(others))
      killed += Number(answer)
    }
    await sleep(everyMs)
  }
  return killed > 0
    ? landed(`${killed} connections were killed, one each ${everyMs} ms`)
    : missed("no connection")
}

const partition = (how: "refused" | "half-open") => async (deployment: Deployment, random: Prng) => {
  const role = random.pick(["worker", "worker", "dispatcher", "listener"] as const)
  const pod = random.pick(deployment.alive(role))
  const proxy = deployment.proxyOf(pod)
  const before = { ...proxy.counts }
  const ms = random.between(300, Math.round(deployment.options.leaseMs * 1.5))
  if (how === "refused") {
    proxy.refusing = true
    proxy.cut()
  } else for (const direction of ["requests", "replies"] as const) proxy.swallowed.add(direction)
  await sleep(ms)
  proxy.refusing = false
  // Sockets that the other side has forgotten: a network that comes back answers them with a reset.
  if (how === "half-open") proxy.cut()
  proxy.swallowed.clear()
  const { refused, cut, swallowedRequests, swallowedReplies } = proxy.counts
  const hits =
    how === "refused"
      ? refused - before.refused + (cut - before.cut)
      : swallowedRequests - before.swallowedRequests + (swallowedReplies - before.swallowedReplies)
  const what = how === "refused" ? "connections were cut or refused" : "chunks were swallowed"
  return hits > 0
    ? landed(`${pod.name} was cut off for ${ms} ms: ${hits} ${what}`)
    : missed("nothing was sent")
}

const swallow = (direction: "requests" | "replies") => async (deployment: Deployment, random: Prng) => {
  const pod = random.pick(deployment.alive(random.pick(["worker", "worker", "dispatcher"] as const)))
  const proxy = deployment.proxyOf(pod)
  const count = () =>
    direction === "requests" ? proxy.counts.swallowedRequests : proxy.counts.swallowedReplies
  const before = count()
  // Now and then for so long that the process has to notice by itself.
  const ms = random.chance(0.1) ? 6500 : random.between(200, 800)
  proxy.swallowed.add(direction)
  await sleep(ms)
  // No network loses the middle of a stream and passes on its rest.
  proxy.cut()
  proxy.swallowed.delete(direction)
  const hits = count() - before
  return hits > 0
    ? landed(`${hits} ${direction} of ${pod.name} were swallowed in ${ms} ms`)
    : missed("nothing was sent")
}

async function slowLink(deployment: Deployment, random: Prng): Promise<Landing> {
  const pod = random.pick(deployment.pods.filter((one) => one.isAlive && one.fate === "lives"))
  const proxy = deployment.proxyOf(pod)
  const before = proxy.counts.delayed
  const most = random.between(10, 120)
  proxy.delayMs = () => most * Math.random()
  await sleep(random.between(500, 1500))
  proxy.delayMs = 0
  const hits = proxy.counts.delayed - before
  return hits > 0
    ? landed(`${hits} chunks of ${pod.name} were late by up to ${most} ms`)
    : missed("nothing was sent")
}

export const networkFaults: readonly Fault[] = [
  ...Object.keys(calledBy).flatMap((script) =>
    ways.map(
      (way): Fault => ({
        name: `${script}: ${way}`,
        group: "network",
        window: "one call of this script",
        weight: 1,
        strike: strikeCall(script, way),
      }),
    ),
  ),
  {
    name: "CLIENT KILL every 10 to 200 ms",
    group: "network",
    window: "while all are at work",
    weight: 6,
    strike: killClients,
  },
  {
    name: "partition of one pod, refused",
    group: "network",
    window: "while it is connected",
    weight: 5,
    strike: partition("refused"),
  },
  {
    name: "partition of one pod, half-open",
    group: "network",
    window: "while it is connected",
    weight: 4,
    strike: partition("half-open"),
  },
  {
    name: "requests swallowed",
    group: "network",
    window: "while it sends",
    weight: 4,
    strike: swallow("requests"),
  },
  {
    name: "replies swallowed",
    group: "network",
    window: "while it is answered",
    weight: 4,
    strike: swallow("replies"),
  },
  { name: "slow link", group: "network", window: "while it sends", weight: 4, strike: slowLink },
]
