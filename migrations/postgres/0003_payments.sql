-- Payments, refunds, plans, subscriptions, payment links.
--
-- `not valid`: rows that are there already have one of the two kinds that the old check knew, so
-- nothing has to be read while the table is locked.

alter table objects drop constraint objects_kind_check;

alter table objects add constraint objects_kind_check check (
    kind in ('sms', 'email', 'payment', 'refund', 'plan', 'subscription', 'payment_link')
) not valid;

-- Further ids of an object at its provider: of the money's movement, beside the order's.
create table provider_refs (
    tenant_id uuid not null,
    connection_id uuid not null,
    ref text not null,
    object_id uuid not null,
    constraint provider_refs_pkey primary key (tenant_id, ref, connection_id)
);

-- What of a payment is refunded, being refunded, or may be. A refund that failed is void.
create table refund_amounts (
    tenant_id uuid not null,
    payment_id uuid not null,
    refund_id uuid not null,
    amount_minor bigint not null,
    status text not null,
    constraint refund_amounts_pkey primary key (tenant_id, payment_id, refund_id),
    constraint refund_amounts_amount_check check (amount_minor > 0),
    constraint refund_amounts_status_check check (status in ('held', 'given', 'void'))
);

-- Tells whose a buyer's page is before its tenant is known. It keeps the hash of what stands in the
-- page's address, not the address.
create table checkout_directory (
    token_hash bytea not null,
    tenant_id uuid not null,
    object_id uuid not null,
    constraint checkout_directory_pkey primary key (token_hash),
    constraint checkout_directory_hash_check check (length(token_hash) = 32)
);
