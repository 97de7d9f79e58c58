-- Payments, refunds, plans, subscriptions, payment links.
--
-- SQLite cannot change a check, so the table is made anew.

create table objects_with_payments (
    tenant_id blob not null,
    id blob not null,
    environment text not null,
    kind text not null,
    provider text not null,
    connection_id blob not null,
    status text not null,
    provider_ref text,
    request text not null,
    result text not null,
    metadata text not null,
    version integer not null,
    claimed_until text,
    refreshed_at text,
    created_at text not null,
    updated_at text not null,
    constraint objects_pkey primary key (tenant_id, id),
    constraint objects_environment_check check (environment in ('test', 'live')),
    constraint objects_kind_check check (
        kind in ('sms', 'email', 'payment', 'refund', 'plan', 'subscription', 'payment_link')
    ),
    constraint objects_status_check check (status not glob '*[^a-z_]*' and length(status) between 1 and 40),
    constraint objects_metadata_check check (json_type(metadata) = 'object'),
    constraint objects_version_check check (version > 0)
) strict;

insert into objects_with_payments (tenant_id, id, environment, kind, provider, connection_id, status,
    provider_ref, request, result, metadata, version, claimed_until, refreshed_at, created_at, updated_at)
select tenant_id, id, environment, kind, provider, connection_id, status, provider_ref, request, result,
    metadata, version, claimed_until, refreshed_at, created_at, updated_at
from objects;

drop table objects;

alter table objects_with_payments rename to objects;

create unique index objects_provider_ref_key
    on objects (connection_id, provider_ref) where provider_ref is not null;

create index objects_list_idx on objects (tenant_id, environment, kind, id);

create index objects_unbound_idx on objects (tenant_id, connection_id, created_at)
    where provider_ref is null;

-- Further ids of an object at its provider: of the money's movement, beside the order's.
create table provider_refs (
    tenant_id blob not null,
    connection_id blob not null,
    ref text not null,
    object_id blob not null,
    constraint provider_refs_pkey primary key (tenant_id, ref, connection_id)
) strict;

-- What of a payment is refunded, being refunded, or may be. A refund that failed is void.
create table refund_amounts (
    tenant_id blob not null,
    payment_id blob not null,
    refund_id blob not null,
    amount_minor integer not null,
    status text not null,
    constraint refund_amounts_pkey primary key (tenant_id, payment_id, refund_id),
    constraint refund_amounts_amount_check check (amount_minor > 0),
    constraint refund_amounts_status_check check (status in ('held', 'given', 'void'))
) strict;

-- Tells whose a buyer's page is before its tenant is known. It keeps the hash of what stands in the
-- page's address, not the address.
create table checkout_directory (
    token_hash blob not null,
    tenant_id blob not null,
    object_id blob not null,
    constraint checkout_directory_pkey primary key (token_hash),
    constraint checkout_directory_hash_check check (length(token_hash) = 32)
) strict;
