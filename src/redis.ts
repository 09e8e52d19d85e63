export { type RedisAdapterOptions, type RedisClusterOptions, redisAdapter } from "./store/redis/adapter.ts"
