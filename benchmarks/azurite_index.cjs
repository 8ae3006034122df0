// A preload for Azurite (`node --require`), for benchmarks only: entities in the order that Azure keeps them in.
//
// The Table service keeps a table sorted by PartitionKey and RowKey: a point read goes straight to its entity, and a
// query that pins PartitionKey and ranges RowKey reads that range, whatever else the table holds
// (learn.microsoft.com/azure/storage/tables/table-storage-design-for-query). Azurite keeps a table unsorted, in LokiJS:
// it answers a query by evaluating the filter over every entity and sorting what is left, and a point read by walking
// all entities of that RowKey. What a benchmark of 100,000 emails measured then would be the emulator.
//
// So this takes the place of the LokiJS collection behind each table, with the methods that Azurite calls on it. What
// `and` of a filter demands of the keys bounds what is visited, in order, until a page is full. All else is Azurite's
// code: parsing and evaluating filters, etags, transactions and their rollback, continuations, what goes over the wire.
// A query that leaves the partition open visits every entity of the partitions it may reach. Memory only.

"use strict";

const path = require("node:path");
const v8 = require("node:v8");

const PERSISTENCE = path.join(__dirname, "../local/node_modules/azurite/dist/src/table/persistence");
const Store = require(path.join(PERSISTENCE, "LokiTableMetadataStore")).default;
const parse = require(path.join(PERSISTENCE, "QueryInterpreter/QueryParser")).default;

// Node's own limit is 4 GB; 100,000 emails with their index rows take more.
v8.setFlagsFromString("--max-old-space-size=12288");

/** Return the range of all keys: from the first, to no last. */
const everything = () => ({ PartitionKey: ["", undefined], RowKey: ["", undefined] });

/** Return the position of the first of the sorted `keys` that is not below `key`. */
function position(keys, key) {
    let [low, high] = [0, keys.length];
    while (low < high) {
        const middle = (low + high) >>> 1;
        if (keys[middle] < key) low = middle + 1;
        else high = middle;
    }
    return low;
}

/** A map whose keys are also kept sorted. */
class Sorted {
    values = new Map();
    keys = [];

    set(key, value) {
        if (!this.values.has(key)) this.keys.splice(position(this.keys, key), 0, key);
        this.values.set(key, value);
    }

    delete(key) {
        if (this.values.delete(key)) this.keys.splice(position(this.keys, key), 1);
    }

    /** Yield the values from `first` to `last`, both included; without `last` to the end. */
    *range([first, last]) {
        for (let at = position(this.keys, first); at < this.keys.length && !(this.keys[at] > last); at++) {
            yield this.values.get(this.keys[at]);
        }
    }
}

/** What Azurite uses of a LokiJS collection. `bounds` are the keys that the next query can reach. */
class OrderedTable {
    partitions = new Sorted();
    bounds = everything();

    constructor(name) {
        this.name = name;
    }

    findOne({ PartitionKey, RowKey }) {
        return this.partitions.values.get(PartitionKey)?.values.get(RowKey) ?? null;
    }

    insert(entity) {
        let partition = this.partitions.values.get(entity.PartitionKey);
        if (partition === undefined) this.partitions.set(entity.PartitionKey, (partition = new Sorted()));
        partition.set(entity.RowKey, entity);
    }

    update = this.insert;

    remove({ PartitionKey, RowKey }) {
        const partition = this.partitions.values.get(PartitionKey);
        partition?.delete(RowKey);
        if (partition?.keys.length === 0) this.partitions.delete(PartitionKey);
    }

    /** A chain is filtered by `where`, is sorted already, and is evaluated only as far as its `limit`. */
    chain() {
        const [table, filters] = [this, []];
        let wanted = Infinity;
        return {
            where(filter) { filters.push(filter); return this; },
            sort() { return this; },
            limit(count) { wanted = count; return this; },
            data() {
                const found = [];
                for (const partition of table.partitions.range(table.bounds.PartitionKey)) {
                    for (const entity of partition.range(table.bounds.RowKey)) {
                        if (filters.every((filter) => filter(entity)) && found.push(entity) === wanted) return found;
                    }
                }
                return found;
            },
        };
    }
}

/** Narrow `bounds` by the comparisons of a key with a text that all of a filter's matches must meet. */
function narrow(bounds, node) {
    if (node.name === "and") {
        narrow(bounds, node.left);
        narrow(bounds, node.right);
    }
    const [range, value] = [bounds[node.left?.identifier], node.right?.value];
    if (range === undefined || node.right.name !== "constant" || typeof value !== "string") return;
    if (["eq", "ge", "gt"].includes(node.name) && value > range[0]) range[0] = value;
    if (["eq", "le", "lt"].includes(node.name) && !(value > range[1])) range[1] = value;
}

/** Return the keys that a query can reach: its filter's, from its continuation on. */
function boundsOf(filter, nextPartition, nextRow) {
    const bounds = everything();
    if (filter) narrow(bounds, parse(filter));
    if (nextPartition > bounds.PartitionKey[0]) bounds.PartitionKey[0] = nextPartition;
    if (bounds.PartitionKey[0] !== bounds.PartitionKey[1]) bounds.RowKey = everything().RowKey;
    else if (nextRow > bounds.RowKey[0]) bounds.RowKey[0] = nextRow;
    return bounds;
}

Store.prototype.createCollectionForTable = function ({ account, table }) {
    const name = this.getTableCollectionName(account, table);
    this.db.removeCollection(name);
    this.db.collections.push(new OrderedTable(name));
};

const query = Store.prototype.queryTableEntities;
Store.prototype.queryTableEntities = function (context, account, table, options, nextPartition, nextRow) {
    const collection = this.getEntityCollection(account, table, context);
    try {
        const decode = (header) => this.decodeContinuationHeader(header);
        collection.bounds = boundsOf(options.filter, decode(nextPartition), decode(nextRow));
    } catch {
        collection.bounds = everything(); // Azurite says what is wrong with the filter.
    }
    // Azurite runs the chain before this returns: no other query comes between.
    return query.call(this, context, account, table, options, nextPartition, nextRow);
};
