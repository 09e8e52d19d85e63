import type { App } from "../../src/index.ts"
import { sendEmail } from "./contract.ts"

/** Runs the task: only here its handler is known. */
export function implementEmail(taskora: App) {
  return taskora.implement(sendEmail, async ({ to, subject }, ctx) => {
    ctx.log.info("handed to the mail server", { subject })
    return { messageId: `<${ctx.id}@${to.split("@")[1]}>` }
  })
}
