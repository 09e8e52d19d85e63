import type { Commands } from "./command.ts"

export const setCommands: Commands = {
  SADD: {
    arity: -3,
    run(db, args) {
      const known = db.find(args[1]!, "set")
      const set = known ?? new Set()
      if (known === undefined) db.put(args[1]!, "set", set)
      const before = set.size
      for (let index = 2; index < args.length; index++) set.add(args[index]!)
      return set.size - before
    },
  },
  SREM: {
    arity: -3,
    run(db, args) {
      const set = db.find(args[1]!, "set")
      if (set === undefined) return 0
      const before = set.size
      for (let index = 2; index < args.length; index++) set.delete(args[index]!)
      if (set.size === 0) db.delete(args[1]!)
      return before - set.size
    },
  },
  SMEMBERS: { arity: 2, run: (db, args) => [...(db.find(args[1]!, "set") ?? [])] },
  SISMEMBER: { arity: 3, run: (db, args) => (db.find(args[1]!, "set")?.has(args[2]!) ? 1 : 0) },
  SCARD: { arity: 2, run: (db, args) => db.find(args[1]!, "set")?.size ?? 0 },
}
