import { createTaskora } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"

// Nothing but close() itself keeps this process alive: the handler never ends, and holds nothing.
const app = createTaskora({ adapter: memoryAdapter() })
let began = () => {}
const running = new Promise<void>((resolve) => {
  began = resolve
})
const task = app.task("endless", () => {
  began()
  return new Promise<void>(() => {})
})
await app.start()
await task.dispatch({})
await running
await app.close({ timeout: 300 })
process.send?.("closed")
