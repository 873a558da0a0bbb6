// SPDX-License-Identifier: GPL-3.0-or-later
// This file imports @vendure/core, which is under the GNU General Public License, version 3 or later. It is a test's
// server, is in no wheel and no sdist, and nothing of Jitui imports it. See LICENSE in this folder.
"use strict";

const crypto = require("crypto");
const path = require("path");
const modules = process.env.VENDURE_MODULES;
const {
  bootstrap,
  dummyPaymentHandler,
  LogLevel,
  DefaultLogger,
  LanguageCode,
  PaymentMethodHandler,
  RandomBytesApiKeyStrategy,
} = require(path.join(modules, "@vendure/core"));

// A key of 32 random bytes cannot be guessed from a plain hash. Vendure's default, bcrypt, takes a quarter of a second of
// processor time in every call; VENDURE_KEYS=bcrypt keeps it, for measurements.
const sha256 = (text) => crypto.createHash("sha256").update(text).digest();
const plainHash = {
  hash: async (key) => sha256(key).toString("hex"),
  check: async (key, hash) => crypto.timingSafeEqual(sha256(key), Buffer.from(hash, "hex")),
};
const apiKeys = process.env.VENDURE_KEYS === "bcrypt" ? {} : { hashingStrategy: plainHash };

// As a gateway that pays a refund at once; the dummy handler leaves one pending until somebody settles it.
const instantHandler = new PaymentMethodHandler({
  code: "instant",
  description: [{ languageCode: LanguageCode.en, value: "Pays and refunds at once" }],
  args: {},
  createPayment: async (ctx, order, amount, args, metadata) => ({
    amount,
    state: "Settled",
    transactionId: `paid-${order.code}`,
    metadata,
  }),
  settlePayment: async () => ({ success: true }),
  createRefund: async (ctx, input, amount) => {
    if (input.reason && input.reason.includes("gateway declines")) return { state: "Failed", metadata: {} };
    return { state: "Settled", transactionId: `refunded-${amount}`, metadata: {} };
  },
});

bootstrap({
  apiOptions: {
    port: Number(process.env.VENDURE_PORT),
    hostname: "127.0.0.1",
    adminApiPath: "admin-api",
    shopApiPath: "shop-api",
  },
  authOptions: {
    tokenMethod: ["bearer", "api-key"],
    superadminCredentials: { identifier: "superadmin", password: process.env.VENDURE_PASSWORD },
    requireVerification: false,
    adminApiKeyStrategy: new RandomBytesApiKeyStrategy(apiKeys),
  },
  dbConnectionOptions: {
    type: "postgres",
    host: process.env.PGHOST, // a folder with a socket, or a name
    port: Number(process.env.PGPORT),
    username: process.env.PGUSER,
    password: process.env.PGPASSWORD || undefined,
    database: process.env.PGDATABASE,
    synchronize: true,
    logging: false,
    poolSize: 10,
  },
  paymentOptions: { paymentMethodHandlers: [dummyPaymentHandler, instantHandler] },
  logger: new DefaultLogger({ level: LogLevel.Warn }),
  plugins: [],
}).catch((error) => {
  console.error(error);
  process.exit(1);
});
