"""The part of Shopify's Admin API 2026-04 that Jitui asks for, by the names and types of its reference.

States are texts here, so that a test can tell one that is not documented.
"""

from __future__ import annotations

from graphql import build_schema

SCHEMA = build_schema(
    """
directive @idempotent(key: String!) on FIELD

scalar DateTime
scalar Decimal

enum OrderSortKeys { CREATED_AT ID PROCESSED_AT UPDATED_AT }
enum OrderTransactionKind { AUTHORIZATION CAPTURE CHANGE EMV_AUTHORIZATION REFUND SALE SUGGESTED_REFUND VOID }
enum RefundLineItemRestockType { CANCEL LEGACY_RESTOCK NO_RESTOCK RETURN }
enum FulfillmentHoldReason {
  AWAITING_PAYMENT AWAITING_RETURN_ITEMS HIGH_RISK_OF_FRAUD INCORRECT_ADDRESS INVENTORY_OUT_OF_STOCK
  ONLINE_STORE_POST_PURCHASE_CROSS_SELL OTHER UNKNOWN_DELIVERY_DATE
}

type Query {
  order(id: ID!): Order
  orders(
    first: Int, after: String, query: String, sortKey: OrderSortKeys = PROCESSED_AT, reverse: Boolean = false
  ): OrderConnection!
  shop: Shop!
  currentAppInstallation: AppInstallation!
}

type Mutation {
  fulfillmentOrderHold(id: ID!, fulfillmentHold: FulfillmentOrderHoldInput!): FulfillmentOrderHoldPayload
  refundCreate(input: RefundInput!): RefundCreatePayload
}

type Shop { name: String! }
type AppInstallation { accessScopes: [AccessScope!]! }
type AccessScope { handle: String! }
type PageInfo { hasNextPage: Boolean! endCursor: String }
type MoneyV2 { amount: Decimal! currencyCode: String! }
type MoneyBag { presentmentMoney: MoneyV2! shopMoney: MoneyV2! }

type OrderConnection { nodes: [Order!]! pageInfo: PageInfo! }
type Order {
  id: ID! name: String! email: String createdAt: DateTime! updatedAt: DateTime! cancelledAt: DateTime
  presentmentCurrencyCode: String! currencyCode: String! taxesIncluded: Boolean! customer: Customer
  totalPriceSet: MoneyBag! displayFulfillmentStatus: String!
  lineItems(first: Int!, after: String): LineItemConnection!
  transactions(first: Int): [OrderTransaction!]!
  refunds(first: Int): [Refund!]!
  fulfillments(first: Int): [Fulfillment!]!
  fulfillmentOrders(first: Int!): FulfillmentOrderConnection!
}
type Customer { id: ID! }
type Product { id: ID! }
type LineItemConnection { nodes: [LineItem!]! pageInfo: PageInfo! }
type LineItem {
  id: ID! title: String! sku: String quantity: Int! currentQuantity: Int! product: Product
  originalTotalSet: MoneyBag! discountAllocations: [DiscountAllocation!]! taxLines(first: Int): [TaxLine!]!
}
type DiscountAllocation { allocatedAmountSet: MoneyBag! }
type TaxLine { priceSet: MoneyBag! }
type OrderTransaction {
  id: ID! kind: String! status: String! gateway: String manualPaymentGateway: Boolean! errorCode: String
  processedAt: DateTime createdAt: DateTime! amountSet: MoneyBag! parentTransaction: OrderTransaction
}
type OrderTransactionConnection { nodes: [OrderTransaction!]! }
type Refund {
  id: ID! note: String createdAt: DateTime totalRefundedSet: MoneyBag!
  transactions(first: Int!): OrderTransactionConnection!
}
type FulfillmentTrackingInfo { number: String company: String }
type FulfillmentLineItemConnection { nodes: [FulfillmentLineItem!]! pageInfo: PageInfo! }
type FulfillmentLineItem { quantity: Int lineItem: LineItem! }
type Fulfillment {
  id: ID! status: String! displayStatus: String createdAt: DateTime! updatedAt: DateTime! deliveredAt: DateTime
  trackingInfo(first: Int): [FulfillmentTrackingInfo!]!
  fulfillmentLineItems(first: Int!): FulfillmentLineItemConnection!
}
type FulfillmentOrderConnection { nodes: [FulfillmentOrder!]! pageInfo: PageInfo! }
type FulfillmentOrder {
  id: ID! status: String! updatedAt: DateTime! assignedLocation: FulfillmentOrderAssignedLocation!
  fulfillmentHolds: [FulfillmentHold!]! lineItems(first: Int!): FulfillmentOrderLineItemConnection!
}
type FulfillmentOrderAssignedLocation { location: Location }
type Location { id: ID! }
type FulfillmentHold { id: ID! handle: String heldByRequestingApp: Boolean! reason: String! reasonNotes: String }
type FulfillmentOrderLineItemConnection { nodes: [FulfillmentOrderLineItem!]! pageInfo: PageInfo! }
type FulfillmentOrderLineItem { id: ID! remainingQuantity: Int! totalQuantity: Int! lineItem: LineItem! }

input FulfillmentOrderHoldInput {
  reason: FulfillmentHoldReason! reasonNotes: String handle: String notifyMerchant: Boolean externalId: String
  fulfillmentOrderLineItems: [FulfillmentOrderLineItemInput!]
}
input FulfillmentOrderLineItemInput { id: ID! quantity: Int! }
type FulfillmentOrderHoldPayload {
  fulfillmentHold: FulfillmentHold fulfillmentOrder: FulfillmentOrder userErrors: [FulfillmentOrderHoldUserError!]!
}
type FulfillmentOrderHoldUserError { code: String field: [String!] message: String! }

input RefundInput {
  orderId: ID! note: String notify: Boolean currency: String allowOverRefunding: Boolean
  refundLineItems: [RefundLineItemInput!] transactions: [OrderTransactionInput!]
}
input RefundLineItemInput { lineItemId: ID! quantity: Int! restockType: RefundLineItemRestockType locationId: ID }
input OrderTransactionInput { orderId: ID! parentId: ID gateway: String! kind: OrderTransactionKind! amount: Decimal! }
type RefundCreatePayload { order: Order refund: Refund userErrors: [UserError!]! }
type UserError { field: [String!] message: String! }
"""
)
