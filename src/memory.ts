export { memoryAdapter } from "./store/embedded/adapter.ts"
