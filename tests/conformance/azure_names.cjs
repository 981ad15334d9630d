// Leads every host of Azure's blob storage to this machine, for a Node that requires this file first.

const dns = require("node:dns");

const lookup = dns.lookup;
dns.lookup = (host, ...rest) => lookup(host.endsWith(".blob.core.windows.net") ? "127.0.0.1" : host, ...rest);
