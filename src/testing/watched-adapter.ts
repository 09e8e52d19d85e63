import type { MemoryAdapter } from "../store/embedded/adapter.ts"
import type { Adapter, Store } from "../store/store.ts"

/** Counts the calls of a store, to tell when it has come to rest. */
export class Calls {
  underWay = 0
  made = 0

  async count<T>(call: () => Promise<T>): Promise<T> {
    this.underWay++
    this.made++
    try {
      return await call()
    } finally {
      this.underWay--
    }
  }
}

/** The same adapter, whose stores' calls are counted; waits that block are not. */
export function watched(adapter: MemoryAdapter, calls: Calls): Adapter {
  const { kind, prefix, clock } = adapter
  return {
    kind,
    prefix,
    clock,
    open: (instance, listeners) => watchedStore(adapter.open(instance, listeners), calls),
  }
}

function watchedStore(store: Store, calls: Calls): Store {
  return {
    connect: (needs) => calls.count(() => store.connect(needs)),
    run: (...call) => calls.count(() => store.run(...call)),
    readStreams: (...call) => store.readStreams(...call),
    waitForWork: (...call) => store.waitForWork(...call),
    interruptRead: () => store.interruptRead(),
    interruptWait: () => store.interruptWait(),
    subscribe: (channels) => calls.count(() => store.subscribe(channels)),
    describe: () => store.describe(),
    connected: () => store.connected(),
    close: () => store.close(),
  }
}
