// Signs EIP-712 messages with viem: reads {"privateKey", "messages"} as JSON from standard input and writes, for each
// message, {"digest", "signature"} to standard output. Numbers of the messages are decimal strings.
import { readFileSync } from "node:fs";
import { hashTypedData } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const { privateKey, messages } = JSON.parse(readFileSync(0, "utf8"));
const account = privateKeyToAccount(privateKey);
const signed = [];
for (const typedData of messages) {
  signed.push({
    digest: hashTypedData(typedData),
    signature: await account.signTypedData(typedData),
  });
}
process.stdout.write(JSON.stringify({ address: account.address, signed }));
