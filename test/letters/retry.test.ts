import { expect, it } from "vitest"
import { JobFailedError } from "../../src/index.ts"
import { onBothHosts, until } from "../support/hosts.ts"
import { graveyards, ids } from "./graveyard.ts"

onBothHosts("retrying a dead letter", (host) => {
  const graveyard = graveyards(host)

  it("is a new life: attempt 1 again, though all attempts were used up", async () => {
    const yard = graveyard()
    const work = yard.task("work", { retry: { attempts: 3, delay: 0 } })
    await yard.app.start()
    await yard.bury(work, [{ id: "a", fail: "no" }])
    expect(yard.runs).toEqual(["work a 1", "work a 2", "work a 3"])
    yard.healed = true
    expect(await yard.app.deadLetters.retry("a")).toBe("retried")
    await until(() => yard.runs.length === 4, "it ran again")
    expect(yard.runs[3]).toBe("work a 1")
    await until(async () => (await yard.app.inspect().find("a"))?.state === "completed", "it completed")
    expect(await yard.app.inspect().find("a")).toMatchObject({ result: "done a", attempt: 1 })
    expect(await yard.app.deadLetters.list()).toEqual([])
  })

  it("may fail, and be retried, again and again", async () => {
    const yard = graveyard()
    const work = yard.task("work", { retry: { attempts: 2, delay: 0 } })
    await yard.app.start()
    await yard.bury(work, [{ id: "a", fail: "no" }])
    for (let life = 2; life <= 4; life++) {
      expect(await yard.app.deadLetters.retry("a")).toBe("retried")
      await until(
        async () => (await yard.app.inspect().stats()).transitions.failed === life,
        `life ${life} ended`,
      )
      expect(ids(await yard.app.deadLetters.list())).toEqual(["a"])
    }
    expect(yard.runs).toHaveLength(8)
    expect((await yard.app.inspect().stats()).transitions).toMatchObject({
      dispatched: 1,
      revived: 3,
      failed: 4,
    })
  })

  it("begins its waiting now, and shows the life before in its timeline", async () => {
    const yard = graveyard()
    const work = yard.task("work")
    await yard.app.start()
    await yard.bury(work, [{ id: "a", fail: "no" }])
    const dead = (await yard.app.inspect().find("a"))!
    await yard.app.close()
    const { app } = yard.other("work")
    expect(await app.deadLetters.retry("a")).toBe("retried")
    const job = (await app.inspect().find("a"))!
    expect(job).toMatchObject({ state: "waiting", attempt: 0, stalls: 0, releases: 0 })
    expect(job).not.toHaveProperty("error")
    expect(job).not.toHaveProperty("finishedAt")
    expect(job.timestamp).toBe(dead.timestamp)
    expect(job.eligibleAt).toBeGreaterThanOrEqual(dead.finishedAt!)
    expect(job.timeline).toEqual([...dead.timeline, { state: "waiting", at: job.eligibleAt, attempt: 0 }])
    expect((await app.inspect().stats()).oldest).toBe(job.eligibleAt)
  })

  it("forgets stalls and hand-backs of the life before", async () => {
    const yard = graveyard()
    let hang = true
    const work = yard.app.task<number, string>("work", {
      stall: { interval: 1000, maxCount: 1 },
      handler: (_data, ctx) => {
        if (!hang) throw new Error("no")
        return new Promise((_resolve, reject) =>
          ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)),
        )
      },
    })
    await yard.app.start()
    const handle = work.dispatch(1, { jobId: "a" })
    await handle
    await until(async () => (await handle.getState()) === "active", "it runs")
    // Handed back at the shutdown of its worker, then failed in another one.
    hang = false
    await yard.app.close({ timeout: 0 })
    const second = graveyardOn(yard)
    await until(async () => (await second.inspect().find("a"))?.state === "failed", "it failed")
    expect(await second.inspect().find("a")).toMatchObject({ releases: 1 })
    await second.close()
    const { app } = yard.other("work")
    await app.deadLetters.retry("a")
    expect(await app.inspect().find("a")).toMatchObject({ releases: 0, stalls: 0 })
  })

  function graveyardOn(yard: ReturnType<typeof graveyard>) {
    const { app } = yard.other("elsewhere")
    app.task("work", () => {
      throw new Error("no")
    })
    void app.start()
    return app
  }

  it("keeps its log, and drops the progress of the life before", async () => {
    const yard = graveyard()
    const work = yard.app.task<number, number>("work", async (_data, ctx) => {
      ctx.log.info(`run ${yard.runs.push("run")}`)
      if (yard.healed) return 1
      ctx.progress(50)
      throw new Error("no")
    })
    await yard.app.start()
    await work.dispatch(1, { jobId: "a" }).result.catch(() => undefined)
    expect(await yard.app.inspect().find("a")).toMatchObject({ progress: 50 })
    yard.healed = true
    await yard.app.deadLetters.retry("a")
    await until(async () => (await yard.app.inspect().find("a"))?.state === "completed", "it completed")
    const job = (await yard.app.inspect().find("a"))!
    expect(job).not.toHaveProperty("progress")
    expect(job.logs.map(({ message }) => message)).toEqual(["run 1", "run 2"])
  })

  it("keeps data of any length", async () => {
    const yard = graveyard()
    const work = yard.app.task<string, number>("work", (data) => {
      if (yard.healed) return data.length
      throw new Error("no")
    })
    await yard.app.start()
    for (const id of ["short", "long"])
      await work.dispatch(id.repeat(id === "long" ? 1000 : 1), { jobId: id }).result.catch(() => undefined)
    yard.healed = true
    expect(await yard.app.deadLetters.retryAll()).toEqual({ retried: 2, tasks: { work: 2 } })
    const state = async () => (await yard.app.inspect().stats()).completed
    await until(async () => (await state()) === 2, "both completed")
    expect((await yard.app.inspect().find("long"))!.result).toBe(4000)
    expect((await yard.app.inspect().find("short"))!.result).toBe(5)
  })

  it("puts it at the back of its band, before all of a lower priority", async () => {
    const yard = graveyard()
    const work = yard.task("work", { concurrency: 1 })
    await yard.app.start()
    await work.dispatch({ fail: "no" }, { jobId: "high", priority: 5 }).result.catch(() => undefined)
    await yard.bury(work, [{ id: "low", fail: "no" }])
    await yard.app.close()
    const { app, task } = yard.other("work")
    await task.dispatch({}, { jobId: "low 2" })
    await task.dispatch({}, { jobId: "high 2", priority: 5 })
    await app.deadLetters.retryAll()
    await task.dispatch({}, { jobId: "low 3" })
    expect(ids(await app.inspect().waiting())).toEqual(["high 2", "high", "low 2", "low", "low 3"])
  })

  it("leaves its id taken: a dispatch under it follows the new life", async () => {
    const yard = graveyard()
    const work = yard.task("work")
    await yard.app.start()
    await yard.bury(work, [{ id: "a", fail: "no" }])
    yard.healed = true
    await yard.app.deadLetters.retry("a")
    const again = work.dispatch({ fail: "other" }, { jobId: "a" })
    expect(await again).toBe("a")
    expect(again.enqueued).toBe(false)
    expect(await again.result).toBe("done a")
  })

  it("leaves those who waited for the old life its outcome, and tells later ones of the new life", async () => {
    const yard = graveyard()
    const work = yard.task("work")
    await yard.app.start()
    const early = work.dispatch({ fail: "the first time" }, { jobId: "a" })
    const late = work.dispatch({ fail: "the first time" }, { jobId: "a" })
    await expect(early.result).rejects.toThrow(JobFailedError)
    yard.healed = true
    await yard.app.deadLetters.retry("a")
    expect(await late.result).toBe("done a")
    await expect(early.result).rejects.toThrow("the first time")
  })

  it("does not let the end of the old life end the waiting for the new one, while nobody has run it yet", async () => {
    const yard = graveyard()
    const work = yard.task("work")
    await yard.app.start()
    const late = work.dispatch({ fail: "no" }, { jobId: "a" })
    await until(async () => (await late.getState()) === "failed", "it failed")
    await yard.app.close()
    const { app, task } = yard.other("work")
    await app.deadLetters.retry("a")
    const heard: string[] = []
    const follower = task.dispatch({}, { jobId: "a" })
    follower.on("failed", () => heard.push("failed"))
    follower.on("completed", () => heard.push("completed"))
    const result = follower.result
    const third = graveyardOf(yard)
    await third.start()
    expect(await result).toBe("done")
    expect(heard.at(-1)).toBe("completed")
  })

  function graveyardOf(yard: ReturnType<typeof graveyard>) {
    const { app } = yard.other("unused")
    app.task("work", () => "done")
    return app
  }

  it("tells a listener of the handle both lives, in order, if it comes in the new one", async () => {
    const yard = graveyard()
    const work = yard.task("work")
    await yard.app.start()
    const handle = work.dispatch({ fail: "no" }, { jobId: "a" })
    await until(async () => (await handle.getState()) === "failed", "it failed")
    yard.healed = true
    await yard.app.deadLetters.retry("a")
    const heard: string[] = []
    for (const name of ["active", "failed", "completed"] as const) handle.on(name, () => heard.push(name))
    await until(() => heard.includes("completed"), "the end of the new life")
    expect(heard).toEqual(["active", "failed", "active", "completed"])
  })

  it("of a job that is not failed answers so, and changes nothing; of none that it is unknown", async () => {
    const yard = graveyard()
    const work = yard.task("work")
    await yard.app.start()
    await work.dispatch({}, { jobId: "fine" }).result
    await work.dispatch({}, { jobId: "later", delay: "1h" })
    const before = await yard.app.inspect().stats()
    expect(await yard.app.deadLetters.retry("fine")).toBe("not failed")
    expect(await yard.app.deadLetters.retry("later")).toBe("not failed")
    expect(await yard.app.deadLetters.retry("nobody")).toBe("unknown")
    expect(await yard.app.inspect().stats()).toEqual(before)
  })

  it("by many at once happens once", async () => {
    const yard = graveyard()
    const work = yard.task("work")
    await yard.app.start()
    await yard.bury(work, [{ id: "a", fail: "no" }])
    yard.healed = true
    const others = [yard.app, yard.other("work").app, yard.other("work").app]
    const answers = await Promise.all(
      others.flatMap((app) => [1, 2, 3].map(() => app.deadLetters.retry("a"))),
    )
    expect(answers.filter((answer) => answer === "retried")).toHaveLength(1)
    await until(async () => (await yard.app.inspect().find("a"))?.state === "completed", "it completed")
    expect((await yard.app.inspect().stats()).transitions).toMatchObject({ revived: 1, started: 2 })
  })

  it("asks for { task } where failed jobs of several tasks have the id", async () => {
    const yard = graveyard()
    const [one, two] = [yard.task("one"), yard.task("two")]
    await yard.app.start()
    for (const task of [one, two]) await yard.bury(task, [{ id: "same", fail: "no" }])
    const { deadLetters } = yard.app
    const ambiguous = /failed jobs of the tasks "one", "two" have the id "same"; say which by \{ task \}/
    await expect(deadLetters.retry("same")).rejects.toThrow(ambiguous)
    await expect(deadLetters.discard("same")).rejects.toThrow(ambiguous)
    yard.healed = true
    expect(await deadLetters.retry("same", { task: "two" })).toBe("retried")
    await until(() => yard.runs.at(-1) === "two same 1", "that of task two ran")
    // Now only one is left that is meant.
    await until(async () => (await yard.app.inspect().stats({ task: "two" })).completed === 1, "it completed")
    expect(await deadLetters.discard("same")).toBe("discarded")
  })

  it("keeps a job that lives again from the retention of failed ones", async () => {
    const yard = graveyard({ retention: { failed: { maxItems: 3 } } })
    const work = yard.task("work")
    await yard.app.start()
    await yard.bury(work, [{ id: "a", fail: "no" }])
    await work.dispatch({ fail: "no" }, { jobId: "b", priority: 1 }).result.catch(() => undefined)
    yard.healed = true
    await yard.app.deadLetters.retry("a")
    await until(async () => (await yard.app.inspect().find("a"))?.state === "completed", "a completed")
    yard.healed = false
    await yard.bury(
      work,
      [1, 2, 3, 4].map((n) => ({ id: `c${n}`, fail: "no" })),
    )
    expect((await yard.app.inspect().find("a"))!.state).toBe("completed")
    expect(ids(await yard.app.deadLetters.list())).toEqual(["c4", "c3", "c2"])
    expect(await yard.app.inspect().find("b")).toBeUndefined()
  })
})
