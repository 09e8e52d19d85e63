import { scripts } from "../../src/store/scripts.ts"
import { type Deployment, sleep, until } from "./deployment.ts"
import { type Fault, type Landing, landed, missed } from "./fault.ts"
import type { Life, Pod } from "./pods.ts"
import type { Prng } from "./prng.ts"

const recentMs = 700

/** Something that the pod wrote down a moment ago: it was at work. */
function isBusy(pod: Pod): boolean {
  const last = pod.observations.findLast(({ what }) => what !== "pulse")
  return pod.openRuns.length > 0 || (last !== undefined && Date.now() - last.at < recentMs)
}

async function kill(deployment: Deployment, random: Prng): Promise<Landing> {
  const role = random.weighed([
    { weight: 7, role: "worker" as const },
    { weight: 2, role: "dispatcher" as const },
    { weight: 1, role: "listener" as const },
  ]).role
  const pod = random.pick(deployment.alive(role))
  await sleep(random.between(0, 400))
  const busy = isBusy(pod)
  const open = pod.openRuns.length
  await pod.kill()
  return busy ? landed(`${pod.name} died with ${open} open runs`) : missed(`${pod.name} had nothing to do`)
}

async function killAfterClaim(deployment: Deployment, random: Prng): Promise<Landing> {
  const pod = random.pick(deployment.alive("worker"))
  pod.order({ op: "die when claimed" })
  await until(() => !pod.isAlive, "it has died", 4000).catch(() => undefined)
  if (pod.isAlive) {
    await pod.kill()
    return missed(`${pod.name} claimed nothing`)
  }
  await pod.dies()
  const death = pod.of("dying").at(-1)
  const [began] = pod.of("began")
  if (!death || !began) return missed(`${pod.name} did not die by its own hand`)
  await deployment.recorder.catchUp()
  const claim = deployment.recorder
    .of(death.task)
    .findLast(({ kind, id, instance }) => kind === "a" && id === death.id && instance === began.instance)
  const runs = pod.of("run").filter(({ id, at }) => id === death.id && at >= (claim?.at ?? 0) - 5)
  if (!claim || runs.length > 0) return missed(`job ${death.id} was ${claim ? "begun" : "not claimed"}`)
  return landed(`${pod.name} claimed ${death.id} as ${claim.seq}, and its handler never began`)
}

async function killAfterSettle(deployment: Deployment, random: Prng): Promise<Landing> {
  const pod = random.pick(deployment.alive("worker"))
  const [began] = pod.of("began")
  const proxy = deployment.proxyOf(pod)
  const before = proxy.counts.replies
  const settled = proxy
    .strike([scripts.settle.source.sha, "$9\r\ncompleted"], "reply lost")
    .then(() => pod.kill().then(() => true))
  const hit = await Promise.race([settled, sleep(4000).then(() => false)])
  if (!hit) {
    proxy.spare()
    return missed(`${pod.name} settled nothing`)
  }
  await deployment.recorder.catchUp()
  const told = deployment.recorder.all.filter(
    ({ kind, instance }) => kind === "c" && instance === began!.instance,
  )
  const known = pod.of("did").filter(({ kind }) => kind === "completed").length
  return told.length > known
    ? landed(
        `the store says that ${pod.name} completed ${told.length}, and it knew of ${known} (reply ${before + 1} lost)`,
      )
    : missed("the reply that was lost told of nothing")
}

/** Jobs that run longer than any lease without renewal. */
async function occupy(deployment: Deployment): Promise<void> {
  const ms = deployment.options.leaseMs * 4
  await deployment.order("steady", { deed: "take time", ms, everyMs: 200 }, deployment.options.workers * 2)
}

/** A worker that holds a job which will not end soon. */
async function occupied(deployment: Deployment): Promise<Pod | undefined> {
  await occupy(deployment)
  const holds = () =>
    deployment.alive("worker").find((pod) => pod.openRuns.some(({ task }) => task === "steady"))
  await until(holds, "somebody holds a job", 4000).catch(() => undefined)
  return holds()
}

/** Whether a run of this pod was taken from it since. */
function takenFrom(deployment: Deployment, pod: Pod, since: number): string | undefined {
  const [began] = pod.of("began")
  for (const stall of deployment.recorder.of("steady")) {
    if (stall.kind !== "s" || stall.at < since) continue
    const claim = deployment.recorder
      .of("steady")
      .findLast(({ kind, id, seq }) => kind === "a" && id === stall.id && seq < stall.seq)
    if (claim?.instance === began?.instance) return `job ${stall.id} stalled as ${stall.seq}`
  }
  return undefined
}

async function freeze(deployment: Deployment): Promise<Landing> {
  const pod = await occupied(deployment)
  if (!pod) return missed("nobody held a job")
  const since = Date.now()
  pod.stop()
  const { leaseMs } = deployment.options
  await until(() => takenFrom(deployment, pod, since), "a lease ran out", leaseMs * 4).catch(() => undefined)
  pod.goOn()
  const taken = takenFrom(deployment, pod, since)
  return taken
    ? landed(`${pod.name} stood still for ${Date.now() - since} ms: ${taken}`)
    : missed("no lease ran out")
}

async function block(deployment: Deployment): Promise<Landing> {
  const pod = await occupied(deployment)
  if (!pod) return missed("nobody held a job")
  const since = Date.now()
  pod.order({ op: "block", ms: deployment.options.leaseMs * 2 })
  await until(
    () => pod.of("blocked").some(({ ms, at }) => ms === 0 && at > since),
    "it goes on",
    deployment.options.leaseMs * 2 + 8000,
  ).catch(() => undefined)
  await deployment.recorder.catchUp().catch(() => undefined)
  const taken = takenFrom(deployment, pod, since)
  return taken ? landed(`${pod.name} was blocked: ${taken}`) : missed("no lease ran out")
}

const terminate = (timeout: number) => async (deployment: Deployment, random: Prng) => {
  const pod = random.pick(deployment.alive("worker"))
  await until(() => pod.openRuns.length > 0, "it has work", 3000).catch(() => undefined)
  const code = await pod.close(timeout)
  const runs = pod.of("closing").at(-1)?.runs ?? 0
  return runs > 0 && code === 0
    ? landed(`${pod.name} closed with ${runs} handlers running`)
    : runs === 0
      ? missed("nothing ran when it closed")
      : landed(`${pod.name} was told to close with ${runs} handlers running, and ended with ${code}`)
}

const shortLife = (life: Life) => async (deployment: Deployment) => {
  const pod = await deployment.spawn("worker", life)
  if (life === "close without redis") deployment.proxyOf(pod).refusing = true
  pod.fate = "closed"
  await Promise.race([pod.exited(), sleep(20_000)])
  const closed = pod.of("closed").length
  return closed > 0
    ? landed(`${pod.name} lived and closed ${closed} time(s)`)
    : landed(`${pod.name} did not close`)
}

async function rollingRestart(deployment: Deployment): Promise<Landing> {
  const old = deployment.alive("worker")
  let busy = 0
  for (const pod of old) {
    await deployment.ready(await deployment.spawn("worker"))
    await pod.close()
    busy += pod.of("closing").at(-1)?.runs ?? 0
  }
  return busy > 0
    ? landed(`${old.length} workers were replaced, with ${busy} handlers running as they closed`)
    : missed("nothing ran when they closed")
}

/** A job that kills whoever runs it: twice, then it has failed for good. */
async function deadlyJob(deployment: Deployment): Promise<Landing> {
  const [id] = await deployment.order("deadly", { deed: "kill its process" })
  if (!id) return missed("nobody could dispatch it")
  const end = () => deployment.recorder.of("deadly").find((line) => line.id === id && line.kind === "f")
  let deaths = 0
  await until(
    async () => {
      for (const pod of deployment.alive("worker").concat(deployment.pods))
        if (pod.role === "worker" && !pod.isAlive && pod.fate === "lives") {
          await pod.dies()
          deaths++
          await deployment.restaff()
        }
      return end()
    },
    "the job has failed",
    deployment.options.leaseMs * 8 + 20_000,
  ).catch(() => undefined)
  const failed = end()
  return failed
    ? landed(`job ${id} killed ${deaths} processes and failed: ${failed.text}`)
    : missed(`job ${id} killed ${deaths} processes and has not failed`)
}

export const processFaults: readonly Fault[] = [
  {
    name: "kill -9 at a random instant",
    group: "processes",
    window: "while it is at work",
    weight: 8,
    strike: kill,
  },
  {
    name: "kill -9 between claim and handler",
    group: "processes",
    window: "after the claim's answer, before the handler",
    weight: 4,
    strike: killAfterClaim,
  },
  {
    name: "kill -9 between settle and its reply",
    group: "processes",
    window: "after the settlement was made, before its answer is there",
    weight: 4,
    strike: killAfterSettle,
  },
  {
    name: "SIGSTOP beyond the lease",
    group: "processes",
    window: "while it holds a job, until that has stalled",
    weight: 2,
    strike: freeze,
  },
  {
    name: "event loop blocked for two leases",
    group: "processes",
    window: "while it holds a job, until that has stalled",
    weight: 2,
    strike: block,
  },
  {
    name: "SIGTERM under load, long timeout",
    group: "processes",
    window: "while handlers run",
    weight: 3,
    strike: terminate(5000),
  },
  {
    name: "SIGTERM under load, short timeout",
    group: "processes",
    window: "while handlers run",
    weight: 4,
    strike: terminate(50),
  },
  ...(["close before start", "close during start", "close twice", "close without redis"] as const).map(
    (life): Fault => ({
      name: life,
      group: "processes",
      window: "as it says",
      weight: 1,
      strike: shortLife(life),
    }),
  ),
  {
    name: "rolling restart",
    group: "processes",
    window: "while handlers run",
    weight: 1,
    strike: rollingRestart,
  },
  {
    name: "a job that kills its process",
    group: "processes",
    window: "in its handler",
    weight: 1,
    strike: deadlyJob,
  },
]
