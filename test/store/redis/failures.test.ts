import { expect, describe as group, it } from "vitest"
import { classify, describe, ReplyError } from "../../../src/store/redis/failures.ts"

function answer(message: string): Error {
  return Object.assign(new Error(message), {
    name: "ReplyError",
    command: { name: "evalsha", args: ["payload"] },
  })
}

group("what a failed command means", () => {
  it.each([
    ["LOADING Redis is loading the dataset in memory", "unavailable", "LOADING"],
    ["BUSY Redis is busy running a script.", "unavailable", "BUSY"],
    ["MASTERDOWN Link with MASTER is down", "unavailable", "MASTERDOWN"],
    ["CLUSTERDOWN The cluster is down", "unavailable", "CLUSTERDOWN"],
    ["TRYAGAIN Multiple keys request during rehashing of slot", "unavailable", "TRYAGAIN"],
    ["MISCONF Redis is configured to save RDB snapshots", "unavailable", "MISCONF"],
    ["NOREPLICAS Not enough good replicas to write.", "unavailable", "NOREPLICAS"],
    ["READONLY You can't write against a read only replica.", "unavailable", "READONLY"],
    ["UNBLOCKED client unblocked via CLIENT UNBLOCK", "unavailable", "UNBLOCKED"],
    ["NOAUTH Authentication required.", "unavailable", "NOAUTH"],
    ["OOM command not allowed", "refused", "OOM"],
    ["NOPERM this user has no permissions to run the 'xread' command", "refused", "NOPERM"],
    ["WRONGTYPE Operation against a key", "refused", "WRONGTYPE"],
    ["BUSYKEY Target key name already exists.", "refused", "BUSYKEY"],
    ["ERR user_script:1: boo", "refused", "ERR"],
    ["something else", "refused", "ERR"],
    ["ERR Script attempted to access a non local key in a cluster node script: 1", "unavailable", "ERR"],
    ["ERR Script attempted to execute a command while the cluster is down", "unavailable", "ERR"],
    [
      "ERR Unable to execute command 'exists' in script because undeclared keys were accessed during rehashing of the slot",
      "unavailable",
      "ERR",
    ],
  ])("%s", (message, fate, code) => {
    const failure = classify(answer(message), 'script "x"')
    expect(failure).toBeInstanceOf(ReplyError)
    expect(failure).toMatchObject({ name: "StoreError", fate, code, message: `script "x": ${message}` })
    expect((failure as ReplyError).losesConnection).toBe(["READONLY", "UNBLOCKED", "NOAUTH"].includes(code))
  })

  it.each([
    "The user executing the script can't access at least one of the keys",
    "ACL failure in script: No permissions to access a key",
  ])("a denial inside a script: %s", (text) => {
    expect(classify(answer(`ERR ${text}`), "x")).toMatchObject({ fate: "refused", code: "NOPERM" })
  })

  it("is unsent only where ioredis says that it wrote nothing", () => {
    const unwritten = new Error("Stream isn't writeable and enableOfflineQueue options is false")
    expect(classify(unwritten, "xread").fate).toBe("unsent")
    expect(classify(new Error("Connection is closed."), "xread").fate).toBe("unanswered")
    expect(classify("odd", "xread").fate).toBe("unanswered")
  })

  it("shows no arguments, neither in the message nor beside it", () => {
    const failure = classify(
      answer("ERR unknown command 'AUTH', with args beginning with: 'hunter2' "),
      "auth",
    )
    expect(failure.message).toBe("auth: ERR unknown command 'AUTH'")
    expect(failure.cause).toBeUndefined()
    expect(failure).not.toHaveProperty("command")
  })

  it("says something where Node's error is empty", () => {
    const error = Object.assign(new AggregateError([]), { code: "ECONNREFUSED" })
    expect(describe(error)).toBe("ECONNREFUSED")
    expect(describe(Object.assign(new Error("self-signed certificate"), { code: "CERT" }))).toBe(
      "self-signed certificate (CERT)",
    )
  })
})
