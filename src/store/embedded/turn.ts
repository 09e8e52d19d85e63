/**
 * How many calls in a row may be answered without letting timers, sockets and signals have their turn. Workers settle and
 * claim once a turn: with many more, whoever dispatches in a loop would keep them waiting.
 */
const callsATurn = 16

let calls = 0
let turn: Promise<void> | undefined

/**
 * Resolves in a microtask as a rule. A process that works off a long backlog would so never leave its microtasks,
 * and its timers and servers would starve; so after some calls the next ones wait for a turn of the event loop.
 */
export function turnOfLoop(): Promise<void> | undefined {
  turn ??= new Promise((resolve) => {
    setImmediate(() => {
      calls = 0
      turn = undefined
      resolve()
    })
  })
  return ++calls > callsATurn ? turn : undefined
}
