import { taskKeyNames } from "./keys.ts"
import {
  decodeCancel,
  decodeCount,
  decodeEnqueue,
  decodeFetch,
  decodeLaunch,
  decodeProgress,
  decodeRenew,
  decodeRoster,
  decodeSettle,
  decodeSnapshots,
  decodeStrings,
  decodeUpkeep,
  decodeWord,
  type EnqueueReply,
} from "./replies.ts"
import { script } from "./script.ts"

export type { EnqueueReply }

/** Every script that the engine calls: what its keys and arguments are named, in order, and what it answers. */
export const scripts = {
  enqueue: script("enqueue", {
    keys: ["stats", "waiting", "priority", "delayed", "wake"],
    args: ["base", "lane", "n"],
    rest: "id, options, body of each job",
    reply: decodeEnqueue,
  }),
  launch: script("launch", {
    keys: ["stats", "waiting", "active", "wake", "events"],
    args: ["base", "lane", "n", "instance", "lease", "attempts", "maxlen", "asking", "id", "body"],
    reply: decodeLaunch,
  }),
  settle: script("settle", {
    keys: taskKeyNames,
    args: [
      "base",
      "lane",
      "n",
      "instance",
      "want",
      "woken",
      "lease",
      "attempts",
      "keepCompleted",
      "keepFailed",
      "maxlen",
      "inline",
      "version",
    ],
    rest: "id, token, kind, duration, run, body of each settlement",
    reply: decodeSettle,
  }),
  renew: script("renew", {
    keys: ["stats", "active", "cancels"],
    args: ["base", "lane", "n", "lease"],
    rest: "id, token, run of each lease",
    reply: decodeRenew,
  }),
  progress: script("progress", {
    keys: ["stats", "active", "events"],
    args: ["base", "lane", "n", "instance", "maxlen"],
    rest: "id, token, first, value of each report",
    reply: decodeProgress,
  }),
  log: script("log", {
    keys: ["stats", "active"],
    args: ["base", "lane", "n", "id", "token", "lines", "bytes", "full"],
    rest: "the lines",
    reply: decodeWord,
  }),
  cancel: script("cancel", {
    keys: ["stats", "waiting", "priority", "delayed", "active", "cancelled", "cancels", "wake", "events"],
    args: ["base", "lane", "n", "instance", "id", "reason", "channel", "keepFailed", "maxlen"],
    reply: decodeCancel,
  }),
  upkeep: script("upkeep", {
    grouped: true,
    keys: taskKeyNames,
    args: [
      "base",
      "lane",
      "n",
      "instance",
      "stalls",
      "keepFailed",
      "ageCompleted",
      "ageFailed",
      "maxlen",
      "version",
    ],
    reply: decodeUpkeep,
  }),
  count: script("count", {
    keys: ["stats", "waiting", "priority", "delayed", "active", "completed", "failed", "cancelled"],
    args: ["base"],
    rest: "the names of the counters wanted",
    reply: decodeCount,
  }),
  fetch: script("fetch", { keys: ["stats"], args: ["base", "id", "parts"], reply: decodeFetch }),
  list: script("list", {
    keys: ["waiting", "priority", "delayed", "active", "completed", "failed", "cancelled"],
    args: ["base", "state", "from", "limit"],
    reply: decodeStrings,
  }),
  snapshot: script("snapshot", {
    grouped: true,
    keys: ["events", "stats"],
    args: [],
    reply: decodeSnapshots,
  }),
  entries: script("entries", { keys: ["events"], args: ["from", "limit"], reply: decodeStrings }),
  declare: script("declare", {
    keys: ["tasks"],
    args: [],
    rest: "name, info of each task",
    reply: decodeWord,
  }),
  attend: script("attend", {
    keys: ["workers", "workerInfo", "meta"],
    args: ["instance", "ttl", "info"],
    reply: decodeStrings,
  }),
  roster: script("roster", { keys: ["tasks", "workers", "workerInfo"], args: [], reply: decodeRoster }),
  wire: script("wire", { keys: ["meta"], args: [], reply: decodeWord }),
  greet: script("greet", { keys: ["meta"], args: ["wire"], reply: decodeWord }),
} as const
