import { expect, it } from "vitest"
import type { WorkerError } from "../../src/index.ts"
import { onBothHosts, testApps } from "../support/hosts.ts"

class OwnKind extends Error {
  kind = "their own"
}

class GetterKind extends Error {
  get kind(): string {
    return "their own"
  }
}

class ThrowingKind extends Error {
  get kind(): string {
    throw new Error("nobody may ask")
  }
}

function fixedKind(): Error {
  return Object.defineProperty(new Error("broke"), "kind", { value: "their own" })
}

function trapped(): Error {
  return new Proxy(new Error("broke"), {
    defineProperty() {
      throw new Error("nobody may write")
    },
  })
}

onBothHosts("the kind of an error on worker:error", (host) => {
  const open = testApps()

  it.each([
    ["an error", () => new Error("broke")],
    ["an error with a kind of its own", () => new OwnKind("broke")],
    ["an error whose class has a getter for it", () => new GetterKind("broke")],
    ["an error whose getter throws", () => new ThrowingKind("broke")],
    ["an error whose kind cannot be changed", fixedKind],
    ["a frozen error", () => Object.freeze(new Error("broke"))],
    ["a proxy that cannot be written to", trapped],
    ["text", () => "broke"],
  ])("is ours, for %s that a listener threw", async (_, make) => {
    const app = open({ adapter: host.adapter() }, true)
    const thrown = make()
    const told = new Promise<WorkerError>((resolve) => app.on("worker:error", resolve))
    app.on("worker:ready", () => {
      throw thrown
    })
    await app.start()
    const error = await told
    expect(error.kind).toBe("listener")
    expect(error.message).toContain("broke")
    expect(error === thrown || error.cause === thrown).toBe(true)
  })
})
