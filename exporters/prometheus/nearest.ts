/** The known word with the fewest changed letters. */
export function nearest(word: string, known: readonly string[]): string {
  const ranked = known.map((k) => ({ k, d: distance(word.toLowerCase(), k.toLowerCase()) }))
  ranked.sort((a, b) => a.d - b.d)
  return ranked[0]?.k ?? ""
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 0; i < Math.min(a.length, 100); i++) {
    const next = [i + 1]
    for (let j = 0; j < b.length; j++) {
      const swap = row[j]! + (a[i] === b[j] ? 0 : 1)
      next.push(Math.min(swap, row[j + 1]! + 1, next[j]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
