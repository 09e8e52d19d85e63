import {
  type App,
  type Composition,
  chain,
  chord,
  group,
  type InferInput,
  type InferOutput,
} from "../../src/index.ts"

// Nothing here runs: the compiler is the test.

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function is<_T extends true>(): void {}

export async function typesOfCompositions(taskora: App): Promise<void> {
  const fetch = taskora.task("fetch", async (url: string) => ({ url, bytes: 1 }))
  const size = taskora.task("size", async (page: { readonly bytes: number }) => page.bytes)
  const add = taskora.task("add", async (numbers: readonly number[]) => numbers.length)
  const show = taskora.task("show", async (n: number) => `${n}`)
  const flag = taskora.task("flag", async (text: string) => text === "")
  const both = taskora.task("both", async ([n, text]: readonly [number, string]) => ({ n, text }))

  const bound = fetch.s("a")
  is<Equal<typeof bound, Composition<unknown, { url: string; bytes: number }>>>()
  const open = size.s()
  is<Equal<typeof open, Composition<{ readonly bytes: number }, number>>>()
  is<Equal<InferOutput<typeof open>, number>>()
  is<Equal<InferInput<typeof open>, { readonly bytes: number }>>()

  const row = chain(fetch.s("a"), size.s(), show.s(), flag.s())
  is<Equal<typeof row, Composition<unknown, boolean>>>()
  const piped = fetch.s("a").pipe(size.s()).pipe(show.s())
  is<Equal<typeof piped, Composition<unknown, string>>>()
  const handle = row.dispatch({ ttl: "1h", name: "row" })
  is<Equal<Awaited<typeof handle.result>, boolean>>()
  handle.on("completed", ({ result }) => is<Equal<typeof result, boolean>>())

  const ten = chain(
    show.s(1),
    flag.s(),
    show.s(2),
    flag.s(),
    show.s(3),
    flag.s(),
    show.s(4),
    flag.s(),
    show.s(5),
    flag.s(),
  )
  is<Equal<typeof ten, Composition<unknown, boolean>>>()

  const side = group(size.s(), fetch.s("b"))
  is<Equal<typeof side, Composition<{ readonly bytes: number }, [number, { url: string; bytes: number }]>>>()
  const results = await group(fetch.s("a"), show.s(1)).dispatch().result
  is<Equal<typeof results, [{ url: string; bytes: number }, string]>>()

  const pair = chord([chain(fetch.s("a"), size.s()), show.s(1)], both.s())
  is<Equal<typeof pair, Composition<unknown, { n: number; text: string }>>>()
  const nested = chord([chord([size.s(), size.s()], add.s()), size.s()], add.s())
  is<Equal<typeof nested, Composition<{ readonly bytes: number }, number>>>()
  chain(fetch.s("a"), nested, show.s()).dispatch()

  const mapped = fetch.map(["a", "b"])
  is<Equal<typeof mapped, Composition<unknown, { url: string; bytes: number }[]>>>()
  const chunked = add.chunk([1, 2, 3], { size: 2 })
  is<Equal<typeof chunked, Composition<unknown, number[]>>>()
  chain(chunked, add.s()).dispatch()
  chain(fetch.map(["a"]), add.chunk([1], { size: 1 })).dispatch()

  // @ts-expect-error show takes a number, fetch gives a page
  chain(fetch.s("a"), show.s())
  // @ts-expect-error so in the middle of a longer one
  chain(fetch.s("a"), size.s(), flag.s(), show.s())
  chain(
    show.s(1),
    flag.s(),
    show.s(2),
    flag.s(),
    show.s(3),
    flag.s(),
    show.s(4),
    flag.s(),
    // @ts-expect-error and at the end of ten
    show.s(5),
    size.s(),
  )
  // @ts-expect-error and by pipe
  fetch.s("a").pipe(flag.s())
  // @ts-expect-error one member of the group cannot take it
  chain(fetch.s("a"), group(size.s(), flag.s()))
  // @ts-expect-error the callback takes a pair of number and string
  chord([show.s(1), show.s(2)], both.s())
  // @ts-expect-error a list of pages is no list of numbers
  chord([fetch.s("a"), fetch.s("b")], add.s())
  // @ts-expect-error wrong inside of a nested chord
  chord([chord([fetch.s("a")], add.s())], add.s())
  // @ts-expect-error nothing stands before it
  size.s().dispatch()
  // @ts-expect-error nor here
  chain(size.s(), show.s()).dispatch()
  // @ts-expect-error data of another type
  size.s("a")
  // @ts-expect-error unknown option
  size.s({ bytes: 1 }, { dealy: 1 })
  // @ts-expect-error items of another type
  fetch.map([1])
  // @ts-expect-error the task takes no lists
  size.chunk([{ bytes: 1 }], { size: 1 })
  // @ts-expect-error items of another type
  add.chunk(["a"], { size: 1 })
  // @ts-expect-error unknown option
  row.dispatch({ tll: 1 })
  // @ts-expect-error unknown event
  handle.on("active", () => {})
}
