import { expect, it, trials } from "./selection.ts"

trials("redis", (run) => {
  it("forgets scripts, pauses, refuses and comes back, and work goes on", async () => {
    await run([
      "SCRIPT FLUSH continuously",
      "CLIENT PAUSE",
      "BUSY",
      "MISCONF",
      "READONLY",
      "maxmemory reached",
      "restart with AOF always",
    ])
  }, 120_000)

  it("trims a stream past a slow reader, which is told exactly how much it missed", async () => {
    await run(["stream trimmed past a slow reader"])
  }, 90_000)

  it("fails over to a replica that lags: only its tail is lost, nothing ends twice, and readers report it and go on", async () => {
    const { evidence } = await run(["replica promoted while behind"])
    expect(evidence.tasks.flatMap(({ lostLines }) => lostLines).length).toBeGreaterThan(0)
    const [listener] = evidence.pods.filter(({ role }) => role === "listener")
    expect(listener!.observations.some(({ what }) => what === "gap")).toBe(true)
  }, 90_000)

  it("loses all of its data under a running system, which goes on with new jobs", async () => {
    await run(["FLUSHALL under a running system"])
  }, 90_000)

  it("restarts empty, and loses a second of its AOF: what it kept is right", async () => {
    await run(["restart without AOF"])
    await run(["power loss with AOF everysec"])
  }, 90_000)
})
