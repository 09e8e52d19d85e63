import { z } from "zod"
import { defineTask } from "../../src/index.ts"

/** What those who send e-mails and those who have them sent agree on. */
export const sendEmail = defineTask({
  name: "send-email",
  input: z.object({ to: z.email(), subject: z.string().default("Hello") }),
  output: z.object({ messageId: z.string() }),
  retry: { attempts: 3 },
})
