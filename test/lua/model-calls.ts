import type { ClaimedJob, LaunchReply, SettleReply } from "../../src/store/replies.ts"
import type { UpkeepReply } from "../../src/store/upkeep-reply.ts"
import type { Call, Calls, Dead, Held, Item, NewJob, Receipt, SettleOptions, UpkeepOptions } from "./calls.ts"

/**
 * Each script that the model knows, with what a call of it says. A script, or a part of one, joins the model by one row here,
 * one in `forms` below, one in `acts` of `model.ts`, and a command in `model-commands.ts`.
 */
interface Contents {
  enqueue: { readonly jobs: readonly NewJob[] }
  launch: {
    readonly id: string
    readonly data: string
    readonly lease: number
    /** Only asks what became of the call with this receipt. */
    readonly asking?: boolean
  }
  settle: {
    readonly items: readonly (Item & { readonly body: string; readonly delay: number })[]
    readonly options: Required<
      Pick<SettleOptions, "want" | "lease" | "keepCompleted" | "keepFailed" | "version">
    >
  }
  renew: { readonly leases: readonly (Held & { readonly run: string })[]; readonly lease: number }
  progress: { readonly reports: readonly (Held & { readonly value: string })[] }
  log: {
    readonly held: Held
    readonly lines: readonly string[]
    /** How many lines a job may log. */
    readonly most: number
    readonly full: string
  }
  cancel: { readonly id: string; readonly reason: string; readonly keepFailed: number }
  upkeep: { readonly options: Required<Omit<UpkeepOptions, "maxlen">> }
  revive: { readonly jobs: readonly Dead[] }
  discard: { readonly jobs: readonly Dead[] }
  clean: {
    readonly state: "completed" | "failed" | "cancelled"
    readonly age: number
    readonly limit: number
  }
  pause: { readonly paused: boolean }
}

export type ModelScript = keyof Contents
export type CallOf<S extends ModelScript> = { readonly script: S; readonly at: Receipt } & Contents[S]

/** A call as the model and the real scripts both take it, so that any earlier one can be sent again to both. */
export type ModelCall = { [S in ModelScript]: CallOf<S> }[ModelScript]

/** How a script is called for real, and what of its answer the model foretells. */
interface Form<S extends ModelScript> {
  readonly make: (calls: Calls, call: CallOf<S>) => Call
  readonly said: (reply: never, call: CallOf<S>) => unknown
}

const words = ({ words }: { readonly words: string }) => ({ words })

const answered = ({ words, notes }: { readonly words: string; readonly notes: readonly string[] }) => ({
  words,
  notes,
})

const forms: { readonly [S in ModelScript]: Form<S> } = {
  enqueue: { make: (calls, { at, jobs }) => calls.enqueue(at, jobs), said: answered },
  launch: {
    make: (calls, { at, id, data, lease, asking = false }) =>
      calls.launch(at, { id, data }, { lease, asking }),
    said: (reply: LaunchReply, { id }) => ({ claimed: claimedBy(id, reply).map(spelled), seq: reply.seq }),
  },
  settle: {
    make: (calls, { at, items, options }) => calls.settle(at, items, options),
    said: ({ words, due, seq, claimed, reasons, expired }: SettleReply) => ({
      words,
      due,
      seq,
      claimed: claimed.map(spelled),
      reasons: reasons.join("\t"),
      expired: expired.map(({ id }) => id),
    }),
  },
  renew: { make: (calls, { at, leases, lease }) => calls.renew(at, leases, lease), said: words },
  progress: { make: (calls, { at, reports }) => calls.progress(at, reports), said: words },
  log: {
    make: (calls, { at, held, lines, most }) => calls.log(at, held, lines, { lines: most }),
    said: (word: string) => ({ word }),
  },
  cancel: {
    make: (calls, { at, id, reason, keepFailed }) => calls.cancel(at, id, reason, keepFailed),
    said: ({ word, state }: { word: string; state: string }) => ({ word, state }),
  },
  upkeep: {
    make: (calls, { at, options }) => calls.upkeep(at, options),
    said: ({ tasks }: UpkeepReply) => {
      const [done] = tasks
      if (done === undefined || done === "stale") return done
      const { stalled, promoted, due, expired } = done
      return {
        stalled: stalled.map(({ id, action }) => `${id} ${action}`),
        promoted,
        due,
        expired: expired.map(({ id }) => id),
      }
    },
  },
  revive: { make: (calls, { at, jobs }) => calls.revive(at, jobs), said: words },
  discard: { make: (calls, { at, jobs }) => calls.discard(at, jobs), said: words },
  clean: {
    make: (calls, { at, state, age, limit }) => calls.clean(at, state, age, limit),
    said: ({ count }: { count: number }) => ({ count }),
  },
  pause: { make: (calls, { at, paused }) => calls.pause(at, paused), said: (word: string) => ({ word }) },
}

export function callOf(calls: Calls, call: ModelCall): Call {
  return (forms[call.script] as Form<ModelScript>).make(calls, call)
}

/** The parts of an answer that the model foretells. */
export function spoken(call: ModelCall, reply: unknown): unknown {
  return (forms[call.script] as Form<ModelScript>).said(reply as never, call)
}

/** What a launch granted, as a claim would say it. */
export function claimedBy(id: string, { record }: LaunchReply): ClaimedJob[] {
  return record === undefined ? [] : [{ id, record, data: undefined }]
}

function spelled({ id, record }: ClaimedJob): string {
  return `${id} ${record === "" ? "gone" : record.split(",")[1]!}`
}
