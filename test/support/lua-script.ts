interface LuaFunction {
  readonly name: string
  readonly text: string
}

/** The functions of a script that stand at the margin, and what remains: its own course. */
export function splitFunctions(text: string): { functions: LuaFunction[]; rest: string } {
  const functions: LuaFunction[] = []
  const pattern = /^(?:local )?function ([\w.]+)\([^\n]*(?: end$|\n[\s\S]*?^end$)/gm
  const rest = text.replaceAll(pattern, (body, name: string) => {
    functions.push({ name, text: body })
    return ""
  })
  return { functions, rest }
}

/** What of a script can run: its own course, and every function that is named there or in one so reached. */
export function reachable(text: string): string {
  const { functions, rest } = splitFunctions(withoutComments(text))
  let reached = rest
  let left = functions
  for (;;) {
    const next = left.filter(({ name }) => new RegExp(`\\b${name.replace(/\..*/, "")}\\b`).test(reached))
    if (next.length === 0) return reached
    reached += next.map((one) => one.text).join("\n")
    left = left.filter((one) => !next.includes(one))
  }
}

function withoutComments(text: string): string {
  return text.replaceAll(/^\s*--.*$|\s--\s.*$/gm, "")
}
