import { createTaskora } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { sendEmail } from "./contract.ts"

/** Dispatches by the contract. In production the adapter is the one that the workers use, `redisAdapter(url)`. */
const taskora = createTaskora({ adapter: memoryAdapter() })
const emails = taskora.register(sendEmail)
const id = await emails.dispatch({ to: "ann@example.com" })
const refused = await emails.dispatch({ to: "nobody" }).then(
  () => "stored",
  (error: unknown) => (error as Error).name,
)
console.log(id.length, refused, (await taskora.inspect().stats()).waiting)
await taskora.close()
