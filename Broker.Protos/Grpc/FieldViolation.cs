namespace BarBroker.Grpc;

/// <summary>What is wrong with one field of a request.</summary>
/// <param name="Field">Its path from the request, in the names of the .proto: <c>ranges.ranges[1].offset</c>.</param>
/// <param name="Description">What was wrong and what would be right.</param>
public sealed record FieldViolation(string Field, string Description);
