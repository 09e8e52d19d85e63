import { readFileSync } from "node:fs"
import { join } from "node:path"
import { ruleName, sampleCalls, type Use } from "../../src/store/redis/commands.ts"
import { root } from "../support/repository.ts"

export const page = join(root, "docs/operations.md")
const password = "a-long-password"

/** The rules of `ACL SETUSER` by the names of their blocks on the page. */
export const blocks = {
  worker: user("taskora-worker", "work", false),
  client: user("taskora-client", "call", false),
  "worker cluster": user("taskora-worker", "work", true),
  "client cluster": user("taskora-client", "call", true),
  keys: [
    "~shop:taskora:{send-mail}:* &shop:taskora:{send-mail}:* ~shop:taskora:control:*",
    "~shop:taskora:{*workflows}:*",
    "~shop:taskora:tasks ~shop:taskora:workers ~shop:taskora:worker-info ~shop:taskora:meta",
  ].join(" "),
} as const

function user(name: string, use: Use, cluster: boolean): string {
  const commands = sampleCalls({ use, cluster }, "k", "c").map((call) => `+${ruleName(call)}`)
  return [
    "ACL SETUSER",
    name,
    "on",
    `>${password}`,
    "~shop:taskora:* &shop:taskora:*",
    ...commands.sort(),
  ].join(" ")
}

/** The page with its blocks as they should be. */
export function currentPage(): string {
  let text = readFileSync(page, "utf8")
  for (const [name, rules] of Object.entries(blocks))
    text = text.replace(
      new RegExp(`(\`\`\`acl ${name}\\n)[^\`]*(\`\`\`)`),
      (_, open, close) => `${open}${rules}\n${close}`,
    )
  return text
}

/** The rules on the page, for another prefix and password. */
export function rulesOf(
  name: keyof typeof blocks,
  own: { readonly prefix: string; readonly password: string },
): string[] {
  const found = new RegExp(`\`\`\`acl ${name}\\n([^\`]*)\\n\`\`\``).exec(readFileSync(page, "utf8"))?.[1]
  if (found === undefined) throw new Error(`docs/operations.md has no block "acl ${name}"`)
  return found
    .replace(/^ACL SETUSER \S+ /, "")
    .replaceAll("shop:", `${own.prefix}:`)
    .replace(`>${password}`, `>${own.password}`)
    .split(" ")
}
