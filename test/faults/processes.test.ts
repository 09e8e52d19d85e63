import { expect, it, trials } from "./selection.ts"

trials("processes", (run) => {
  it("that are killed lose nothing and do nothing twice", async () => {
    await run([
      "kill -9 between claim and handler",
      "kill -9 between settle and its reply",
      "kill -9 at a random instant",
    ])
  }, 90_000)

  it("that stand still or are blocked beyond their lease change nothing afterwards", async () => {
    await run(["SIGSTOP beyond the lease", "event loop blocked for two leases"])
  }, 90_000)

  it("close under load and at every phase of their life, and leave nothing behind", async () => {
    await run([
      "SIGTERM under load, long timeout",
      "SIGTERM under load, short timeout",
      "close before start",
      "close during start",
      "close twice",
      "close without redis",
      "rolling restart",
    ])
  }, 120_000)

  it("are killed by one job only as often as it may stall, and are idle when all is done", async () => {
    const { evidence } = await run(["a job that kills its process"], 6000)
    expect(evidence.idle).toBeDefined()
  }, 90_000)
})
