// A payment gateway: it pays every refund, but declines one of 0.13, and takes three seconds for one of 0.17.
"use strict";

const { AbstractPaymentProvider, ModuleProvider, Modules } = require("@medusajs/framework/utils");

class Gateway extends AbstractPaymentProvider {
  static identifier = "gateway";

  async initiatePayment() {
    return { id: `paid-${Math.random()}`, data: {} };
  }
  async authorizePayment({ data }) {
    return { status: "authorized", data };
  }
  async capturePayment({ data }) {
    return { data };
  }
  async refundPayment({ data, amount }) {
    if (Number(amount.value ?? amount) === 0.13) throw new Error("the gateway declines");
    if (Number(amount.value ?? amount) === 0.17) await new Promise((resolve) => setTimeout(resolve, 3000));
    return { data };
  }
  async cancelPayment({ data }) {
    return { data };
  }
  async deletePayment({ data }) {
    return { data };
  }
  async getPaymentStatus() {
    return { status: "captured" };
  }
  async retrievePayment({ data }) {
    return { data };
  }
  async updatePayment({ data }) {
    return { data };
  }
  async getWebhookActionAndData() {
    return { action: "not_supported" };
  }
}

module.exports = ModuleProvider(Modules.PAYMENT, { services: [Gateway] });
