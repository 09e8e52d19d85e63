import { ConnectionError } from "../../model/errors.ts"
import type { Ending } from "./link.ts"

/** Why there is no connection, for people. */
export function unreachable({ message, code, refused }: Ending, place: string): ConnectionError {
  if (code === "WRONGPASS" || code === "NOAUTH") {
    return new ConnectionError(`Redis at ${place} refused the user or password: ${message}`, {
      refused: true,
    })
  }
  if (code === "TLS")
    return new ConnectionError(`cannot reach Redis at ${place}: ${message}`, { refused: true })
  if (refused) return new ConnectionError(`Redis at ${place} refused the connection: ${message}`, { refused })
  return new ConnectionError(`cannot reach Redis at ${place}: ${message}`)
}
