export { type RedisAdapterOptions, redisAdapter } from "./store/redis/adapter.ts"
