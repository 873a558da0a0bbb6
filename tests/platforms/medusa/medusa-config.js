// A shop without Redis, without admin pages, and with a payment gateway that the tests tell what to do.
"use strict";

const { defineConfig } = require("@medusajs/framework/utils");

const nobody = "http://127.0.0.1";

module.exports = defineConfig({
  projectConfig: {
    databaseUrl: process.env.DATABASE_URL,
    databaseDriverOptions: { ssl: false },
    http: {
      storeCors: nobody,
      adminCors: nobody,
      authCors: nobody,
      jwtSecret: "not-a-secret-of-anybody",
      cookieSecret: "not-a-secret-of-anybody",
    },
  },
  admin: { disable: true },
  modules: [
    {
      resolve: "@medusajs/medusa/payment",
      options: { providers: [{ resolve: require.resolve("./gateway"), id: "tests" }] },
    },
  ],
});
