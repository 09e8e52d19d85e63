import { it, trials } from "./selection.ts"

trials("the network", (run) => {
  it("loses requests and replies, cuts connections and parts processes, and nothing is lost or done twice", async () => {
    await run([
      "CLIENT KILL every 10 to 200 ms",
      "settle: reply lost",
      "launch: late, after the next call",
      "partition of one pod, refused",
      "partition of one pod, half-open",
      "requests swallowed",
      "slow link",
    ])
  }, 120_000)
})
